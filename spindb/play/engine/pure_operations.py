"""The TensorFlow operations that only compute.

A saved graph is a program. TensorFlow's 1,400 operations include ``WriteFile``, ``ReadFile``, ``PyFunc``, ``Print``
(which can append to files), ``DebugIdentity`` (which can send data), readers, data sets, queues and servers. This is
therefore a list of allowed operations: new operations of TensorFlow are refused until they have been reviewed.

Allowed operations convert tensors to tensors, without access to files, network, processes, Python code, uninitialised
memory (``Empty``) or anything that outlives the session. They do not change variables. Stateful ones are random
draws, reads of variables, function calls (the bodies are checked with the same list), arrays that exist within one
evaluation, and ``Assert`` and ``CheckNumerics``, which raise an error. Decoders of images, audio and text are pure but
not listed: policies do not need them, and they have had memory errors.
"""

from __future__ import annotations

_ARITHMETIC = """
    Abs Acos Acosh Add AddN AddV2 Asin Asinh Atan Atan2 Atanh Ceil ClipByValue Cos Cosh Cross Digamma Div DivNoNan Erf
    Erfc Erfinv Exp Expm1 Floor FloorDiv FloorMod Igamma Igammac Inv IsFinite IsInf IsNan Lgamma Log Log1p Maximum
    Minimum Mod Mul MulNoNan Ndtri Neg Pow RealDiv Reciprocal Rint Round Rsqrt Sigmoid Sign Sin Sinh Sqrt Square
    SquaredDifference Sub Tan Tanh TruncateDiv TruncateMod Xdivy Xlog1py Xlogy Zeta
"""
_COMPARISONS = """
    Equal NotEqual Greater GreaterEqual Less LessEqual ApproximateEqual LogicalAnd LogicalNot LogicalOr Select SelectV2
    Where BitwiseAnd BitwiseOr BitwiseXor Invert LeftShift RightShift
"""
_REDUCTIONS = """
    All Any ArgMax ArgMin Bincount Bucketize Cumprod Cumsum EuclideanNorm InTopK InTopKV2 L2Loss Max Mean Min Prod
    SegmentMax SegmentMean SegmentMin SegmentProd SegmentSum Sum TopK TopKV2 UnsortedSegmentMax UnsortedSegmentMin
    UnsortedSegmentProd UnsortedSegmentSum
"""
_ARRAYS = """
    BatchToSpaceND Bitcast BroadcastArgs BroadcastTo Cast Concat ConcatV2 Const Diag DiagPart EnsureShape ExpandDims
    Fill Gather GatherNd GatherV2 InvertPermutation LinSpace MatrixBandPart MatrixDiag MatrixDiagPart MatrixDiagPartV2
    MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3 MirrorPad OneHot OnesLike
    Pack Pad PadV2 ParallelConcat Range Rank Reshape Reverse ReverseSequence ReverseV2 Roll ScatterNd Shape ShapeN Size
    Slice SpaceToBatchND SparseToDense Split SplitV Squeeze StridedSlice TensorScatterAdd TensorScatterUpdate Tile
    Transpose Unique UniqueV2 Unpack ZerosLike
"""
_LINEAR = """
    BatchMatMul BatchMatMulV2 BatchMatMulV3 Cholesky Einsum MatMul MatrixDeterminant MatrixInverse MatrixSolve
    MatrixTriangularSolve Qr SelfAdjointEigV2 Svd
"""
_NETWORKS = """
    AvgPool BiasAdd BiasAddV1 Conv2D Conv3D DepthwiseConv2dNative Elu FusedBatchNorm FusedBatchNormV2
    FusedBatchNormV3 GRUBlockCell LRN LSTMBlockCell BlockLSTM BlockLSTMV2 LeakyRelu LogSoftmax MaxPool MaxPoolV2 Relu
    Relu6 ResizeBilinear ResizeNearestNeighbor Selu SoftmaxCrossEntropyWithLogits Softmax Softplus Softsign
    SparseSoftmaxCrossEntropyWithLogits
"""
_DRAWS = """
    Multinomial ParameterizedTruncatedNormal RandomGamma RandomShuffle RandomStandardNormal RandomUniform
    RandomUniformInt StatelessMultinomial StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomNormal
    StatelessRandomNormalV2 StatelessRandomUniform StatelessRandomUniformInt StatelessRandomUniformIntV2
    StatelessRandomUniformV2 StatelessTruncatedNormal StatelessTruncatedNormalV2 TruncatedNormal
"""
_FLOW = """
    Assert CheckNumerics ControlTrigger Enter Exit Identity IdentityN LoopCond Merge NextIteration NoOp Placeholder
    PlaceholderV2 PlaceholderWithDefault PreventGradient RefEnter RefExit RefIdentity RefMerge RefNextIteration
    RefSwitch Snapshot StopGradient Switch
"""
_WITHIN = """
    TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayReadV3 TensorArrayScatterV3 TensorArraySizeV3
    TensorArraySplitV3 TensorArrayV3 TensorArrayWriteV3 EmptyTensorList TensorListConcatV2 TensorListFromTensor
    TensorListGather TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack TensorListReserve
    TensorListSetItem TensorListSplit TensorListStack
"""
_READS = "ReadVariableOp ResourceGather ResourceGatherNd VarIsInitializedOp IsVariableInitialized"
_CALLS = """
    Case If PartitionedCall StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile While
"""

VARIABLES = frozenset(("VariableV2", "Variable", "VarHandleOp"))
"""Variables, assigned before the evaluation; allowed in the graph, but not in functions."""

PURE = frozenset(
    " ".join(
        (
            _ARITHMETIC,
            _COMPARISONS,
            _REDUCTIONS,
            _ARRAYS,
            _LINEAR,
            _NETWORKS,
            _DRAWS,
            _FLOW,
            _WITHIN,
            _READS,
            _CALLS,
        )
    ).split()
)
"""The operations that are evaluated without ``--trust``."""
