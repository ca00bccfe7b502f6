"""Writes the layout that spindb reads, from any training script.

::

    from spindb.logger import EpochLogger, setup_logger_kwargs

    logger = EpochLogger(**setup_logger_kwargs("my-experiment", seed=0))
    logger.save_config(locals())
    logger.setup_tf_saver(sess, inputs={"x": x_ph}, outputs={"pi": pi, "v": v})
    for epoch in range(epochs):
        ...
        logger.store(EpRet=ep_ret, EpLen=ep_len)
        if epoch % save_freq == 0:
            logger.save_state({"env": env}, itr=epoch)
        logger.log_tabular("Epoch", epoch)
        logger.log_tabular("EpRet", with_min_and_max=True)
        logger.log_tabular("EpLen", average_only=True)
        logger.dump_tabular()
"""

from spindb.logger.epochs import EpochLogger, Logger
from spindb.logger.places import data_directory, setup_logger_kwargs

__all__ = ["EpochLogger", "Logger", "data_directory", "setup_logger_kwargs"]
