SELECT pg_catalog.set_config('search_path', '', false);
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.configs (
    run_id integer NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    type text NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL COLLATE pg_catalog."C",
    canonical text NOT NULL COLLATE pg_catalog."C",
    number double precision,
    raw text COLLATE pg_catalog."C",
    internal boolean DEFAULT false NOT NULL
);
CREATE TABLE public.episodes (
    evaluation_id integer NOT NULL,
    number integer NOT NULL,
    ep_return double precision,
    length integer NOT NULL,
    ending text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE public.evaluations (
    id integer NOT NULL,
    run_id integer NOT NULL,
    generation integer NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    itr bigint,
    snapshot_path text NOT NULL COLLATE pg_catalog."C",
    env_id text COLLATE pg_catalog."C",
    env_source text NOT NULL COLLATE pg_catalog."C",
    deterministic boolean NOT NULL,
    engine text NOT NULL COLLATE pg_catalog."C",
    snapshot_digest text COLLATE pg_catalog."C",
    partial boolean DEFAULT false NOT NULL,
    max_ep_len integer,
    seed bigint,
    episodes integer NOT NULL,
    mean_return double precision,
    std_return double precision,
    mean_length double precision,
    versions text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp without time zone NOT NULL,
    seconds double precision NOT NULL,
    verdict text COLLATE pg_catalog."C",
    verdict_reason text COLLATE pg_catalog."C",
    logged_metric text COLLATE pg_catalog."C",
    logged_epoch bigint,
    logged_mean double precision,
    logged_error double precision,
    logged_episodes integer,
    logged_range double precision,
    counted_mean double precision,
    difference double precision,
    difference_error double precision,
    power double precision
);
CREATE SEQUENCE public.evaluations_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.evaluations_id_seq OWNED BY public.evaluations.id;
CREATE TABLE public.metrics (
    run_id integer NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    "position" integer NOT NULL,
    count integer NOT NULL,
    first double precision,
    last double precision,
    last_text text COLLATE pg_catalog."C",
    min double precision,
    max double precision,
    mean double precision,
    argmin integer,
    argmax integer,
    series double precision[] NOT NULL,
    odd_cells text COLLATE pg_catalog."C",
    steps double precision[]
);
CREATE TABLE public.runs (
    id integer NOT NULL,
    root_id integer NOT NULL,
    path text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    exp_name text COLLATE pg_catalog."C",
    seed bigint,
    algo text COLLATE pg_catalog."C",
    algo_source text COLLATE pg_catalog."C",
    env_id text COLLATE pg_catalog."C",
    env_source text COLLATE pg_catalog."C",
    env_classes text COLLATE pg_catalog."C",
    max_episode_steps integer,
    format text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    rows integer NOT NULL,
    axis text COLLATE pg_catalog."C",
    steps text COLLATE pg_catalog."C",
    performance text COLLATE pg_catalog."C",
    started_at timestamp without time zone,
    started_source text COLLATE pg_catalog."C",
    updated_at timestamp without time zone,
    ingested_at timestamp without time zone NOT NULL,
    fingerprint text NOT NULL COLLATE pg_catalog."C",
    metrics_size bigint NOT NULL,
    metrics_digest text NOT NULL COLLATE pg_catalog."C",
    config_digest text NOT NULL COLLATE pg_catalog."C",
    generation integer DEFAULT 0 NOT NULL,
    copy_of integer,
    signature text COLLATE pg_catalog."C",
    archived boolean DEFAULT false NOT NULL,
    superseded_by integer,
    removed_at timestamp without time zone,
    part text COLLATE pg_catalog."C",
    CONSTRAINT ck_runs_status CHECK ((status = ANY (ARRAY['ok'::text, 'empty'::text, 'broken'::text, 'policy'::text, 'missing'::text, 'superseded'::text])))
);
CREATE VIEW public.metric_points AS
 SELECT m.run_id,
    m.name,
    ((p.number - 1))::integer AS "row",
        CASE
            WHEN ((m.steps IS NOT NULL) OR (a.steps IS NOT NULL)) THEN NULL::double precision
            WHEN (a.series IS NULL) THEN ((p.number - 1))::double precision
            ELSE a.series[p.number]
        END AS epoch,
        CASE
            WHEN (p.cell <> 'NaN'::double precision) THEN p.cell
            ELSE NULL::double precision
        END AS value,
        CASE
            WHEN (p.cell = 'NaN'::double precision) THEN 'NaN'::text
            WHEN (p.cell IS NULL) THEN ((m.odd_cells)::json ->> ((p.number - 1))::text)
            ELSE NULL::text
        END AS text,
        CASE
            WHEN (m.steps IS NOT NULL) THEN m.steps[p.number]
            WHEN (s.steps IS NULL) THEN s.series[p.number]
            ELSE NULL::double precision
        END AS step
   FROM ((((public.metrics m
     JOIN public.runs r ON ((r.id = m.run_id)))
     LEFT JOIN public.metrics a ON (((a.run_id = m.run_id) AND (a.name = r.axis))))
     LEFT JOIN public.metrics s ON (((s.run_id = m.run_id) AND (s.name = r.steps))))
     CROSS JOIN LATERAL unnest(m.series) WITH ORDINALITY p(cell, number));
CREATE TABLE public.notes (
    id integer NOT NULL,
    run_id integer NOT NULL,
    text text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp without time zone NOT NULL
);
CREATE SEQUENCE public.notes_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.notes_id_seq OWNED BY public.notes.id;
CREATE TABLE public.problems (
    id integer NOT NULL,
    run_id integer NOT NULL,
    path text NOT NULL COLLATE pg_catalog."C",
    line integer,
    code text NOT NULL COLLATE pg_catalog."C",
    message text NOT NULL COLLATE pg_catalog."C"
);
CREATE SEQUENCE public.problems_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.problems_id_seq OWNED BY public.problems.id;
CREATE TABLE public.queries (
    name text NOT NULL COLLATE pg_catalog."C",
    text text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp without time zone NOT NULL
);
CREATE TABLE public.roots (
    id integer NOT NULL,
    host text NOT NULL COLLATE pg_catalog."C",
    path text NOT NULL COLLATE pg_catalog."C"
);
CREATE SEQUENCE public.roots_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.roots_id_seq OWNED BY public.roots.id;
CREATE SEQUENCE public.runs_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.runs_id_seq OWNED BY public.runs.id;
CREATE TABLE public.snapshots (
    id integer NOT NULL,
    run_id integer NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    itr bigint,
    path text NOT NULL COLLATE pg_catalog."C",
    size bigint NOT NULL,
    saved_at timestamp without time zone,
    state_path text COLLATE pg_catalog."C",
    inputs text NOT NULL COLLATE pg_catalog."C",
    outputs text NOT NULL COLLATE pg_catalog."C",
    framework text COLLATE pg_catalog."C",
    unloadable text COLLATE pg_catalog."C",
    stale text COLLATE pg_catalog."C"
);
CREATE SEQUENCE public.snapshots_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.snapshots_id_seq OWNED BY public.snapshots.id;
CREATE TABLE public.superseded (
    run_id integer NOT NULL,
    generation integer NOT NULL,
    fingerprint text NOT NULL COLLATE pg_catalog."C",
    rows integer NOT NULL,
    performance text COLLATE pg_catalog."C",
    last double precision,
    max double precision,
    started_at timestamp without time zone,
    updated_at timestamp without time zone,
    superseded_at timestamp without time zone NOT NULL
);
CREATE TABLE public.tags (
    run_id integer NOT NULL,
    tag text NOT NULL COLLATE pg_catalog."C"
);
ALTER TABLE ONLY public.evaluations ALTER COLUMN id SET DEFAULT nextval('public.evaluations_id_seq'::regclass);
ALTER TABLE ONLY public.notes ALTER COLUMN id SET DEFAULT nextval('public.notes_id_seq'::regclass);
ALTER TABLE ONLY public.problems ALTER COLUMN id SET DEFAULT nextval('public.problems_id_seq'::regclass);
ALTER TABLE ONLY public.roots ALTER COLUMN id SET DEFAULT nextval('public.roots_id_seq'::regclass);
ALTER TABLE ONLY public.runs ALTER COLUMN id SET DEFAULT nextval('public.runs_id_seq'::regclass);
ALTER TABLE ONLY public.snapshots ALTER COLUMN id SET DEFAULT nextval('public.snapshots_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0004');
INSERT INTO public.configs VALUES (1, 'exp_name', 'str', '"ppo"', '"ppo"', NULL, NULL, false);
INSERT INTO public.configs VALUES (1, 'pi_lr', 'float', '0.001', '0.001', 0.001, NULL, false);
INSERT INTO public.configs VALUES (1, 'seed', 'int', '0', '0', 0, NULL, false);
INSERT INTO public.configs VALUES (2, 'exp_name', 'str', '"ppo"', '"ppo"', NULL, NULL, false);
INSERT INTO public.configs VALUES (2, 'pi_lr', 'float', '0.001', '0.001', 0.001, NULL, false);
INSERT INTO public.configs VALUES (2, 'seed', 'int', '1', '1', 1, NULL, false);
INSERT INTO public.evaluations VALUES (1, 1, 0, 'tf1_save', 3, 'tf1_save3', 'CartPole-v1', '--env', false, 'numpy', NULL, false, NULL, 1, 0, 10, 0, 10, '{"python": "3"}', '2026-11-25 17:09:40.673565', 0.1, 'differs', 'the difference is 40% of the logged curve''s range', 'AverageEpRet', 3, 50, 2, 20, 100, 10, -40, 2.5, 0.99);
INSERT INTO public.metrics VALUES (1, 'AverageEpRet', 1, 2, 1, 'Infinity', NULL, 1, 'Infinity', 'Infinity', 0, 2, '{1,NaN,Infinity}', NULL, NULL);
INSERT INTO public.metrics VALUES (1, 'Epoch', 0, 3, 0, 2, NULL, 0, 2, 1, 0, 2, '{0,1,2}', NULL, NULL);
INSERT INTO public.metrics VALUES (1, 'Odd', 2, 1, 3, 3, NULL, 3, 3, 3, 2, 2, '{NULL,NULL,3}', '{"1": "text"}', NULL);
INSERT INTO public.metrics VALUES (2, 'AverageEpRet', 1, 2, 1, 'Infinity', NULL, 1, 'Infinity', 'Infinity', 0, 2, '{1,NaN,Infinity}', NULL, NULL);
INSERT INTO public.metrics VALUES (2, 'Epoch', 0, 3, 0, 2, NULL, 0, 2, 1, 0, 2, '{0,1,2}', NULL, NULL);
INSERT INTO public.metrics VALUES (2, 'Odd', 2, 1, 3, 3, NULL, 3, 3, 3, 2, 2, '{NULL,NULL,3}', '{"1": "text"}', NULL);
INSERT INTO public.notes VALUES (1, 2, 'diverged', '2026-11-25 17:09:40.672911');
INSERT INTO public.problems VALUES (1, 1, 'progress.txt', 3, 'text-cells', 'column Odd: 1 text such as text beside 1 number: kept as text');
INSERT INTO public.problems VALUES (2, 2, 'progress.txt', 3, 'text-cells', 'column Odd: 1 text such as text beside 1 number: kept as text');
INSERT INTO public.roots VALUES (1, 'elsewhere', '/study/data');
INSERT INTO public.runs VALUES (1, 1, 'ppo_s0', 'ppo_s0', 'ppo', 0, 'ppo', 'name', NULL, NULL, NULL, NULL, 'spinningup', 'ok', 3, 'Epoch', NULL, 'AverageEpRet', '2026-11-25 16:09:40.534825', 'file time', '2026-11-25 16:09:40.534825', '2026-11-25 17:09:40.632243', '08e0b43cde7e5643624a6fa1d29ddc5e', 49, '0363ec5ff2b804a2df09157f241c2100', '4fd060db682e0a8cdc898a99f9d7719e', 0, NULL, '04e504b6285d313a0a17eba7fc05b245', false, NULL, NULL, NULL);
INSERT INTO public.runs VALUES (2, 1, 'ppo_s1', 'ppo_s1', 'ppo', 1, 'ppo', 'name', NULL, NULL, NULL, NULL, 'spinningup', 'ok', 3, 'Epoch', NULL, 'AverageEpRet', '2026-11-25 16:09:40.534825', 'file time', '2026-11-25 16:09:40.534825', '2026-11-25 17:09:40.632243', '1f37c071b6113dd2e925d2abc421b1e2', 49, '0363ec5ff2b804a2df09157f241c2100', 'd4c9faac2daf621ee0b681e4d937374f', 0, NULL, '04e504b6285d313a0a17eba7fc05b245', false, NULL, NULL, NULL);
INSERT INTO public.tags VALUES (1, 'good');
SELECT pg_catalog.setval('public.evaluations_id_seq', 2, false);
SELECT pg_catalog.setval('public.notes_id_seq', 2, false);
SELECT pg_catalog.setval('public.problems_id_seq', 3, false);
SELECT pg_catalog.setval('public.roots_id_seq', 2, false);
SELECT pg_catalog.setval('public.runs_id_seq', 3, false);
SELECT pg_catalog.setval('public.snapshots_id_seq', 1, false);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.configs
    ADD CONSTRAINT pk_configs PRIMARY KEY (run_id, key);
ALTER TABLE ONLY public.episodes
    ADD CONSTRAINT pk_episodes PRIMARY KEY (evaluation_id, number);
ALTER TABLE ONLY public.evaluations
    ADD CONSTRAINT pk_evaluations PRIMARY KEY (id);
ALTER TABLE ONLY public.metrics
    ADD CONSTRAINT pk_metrics PRIMARY KEY (run_id, name);
ALTER TABLE ONLY public.notes
    ADD CONSTRAINT pk_notes PRIMARY KEY (id);
ALTER TABLE ONLY public.problems
    ADD CONSTRAINT pk_problems PRIMARY KEY (id);
ALTER TABLE ONLY public.queries
    ADD CONSTRAINT pk_queries PRIMARY KEY (name);
ALTER TABLE ONLY public.roots
    ADD CONSTRAINT pk_roots PRIMARY KEY (id);
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT pk_runs PRIMARY KEY (id);
ALTER TABLE ONLY public.snapshots
    ADD CONSTRAINT pk_snapshots PRIMARY KEY (id);
ALTER TABLE ONLY public.superseded
    ADD CONSTRAINT pk_superseded PRIMARY KEY (run_id, generation);
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT pk_tags PRIMARY KEY (run_id, tag);
ALTER TABLE ONLY public.roots
    ADD CONSTRAINT uq_roots_host_path UNIQUE (host, path);
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT uq_runs_root_id_path_generation UNIQUE (root_id, path, generation);
ALTER TABLE ONLY public.snapshots
    ADD CONSTRAINT uq_snapshots_run_id_path UNIQUE (run_id, path);
CREATE INDEX ix_configs_key_canonical_run_id ON public.configs USING btree (key, canonical, run_id);
CREATE INDEX ix_configs_key_number_run_id ON public.configs USING btree (key, number, run_id);
CREATE INDEX ix_evaluations_run_id ON public.evaluations USING btree (run_id);
CREATE INDEX ix_metrics_name_last_run_id ON public.metrics USING btree (name, last, run_id);
CREATE INDEX ix_metrics_name_max_run_id ON public.metrics USING btree (name, max, run_id);
CREATE INDEX ix_notes_run_id ON public.notes USING btree (run_id);
CREATE INDEX ix_problems_run_id ON public.problems USING btree (run_id);
CREATE INDEX ix_runs_copy_of ON public.runs USING btree (copy_of);
CREATE INDEX ix_runs_env_id ON public.runs USING btree (env_id);
CREATE INDEX ix_runs_exp_name ON public.runs USING btree (exp_name);
CREATE INDEX ix_runs_fingerprint ON public.runs USING btree (fingerprint);
CREATE INDEX ix_runs_name_config_digest ON public.runs USING btree (name, config_digest);
CREATE INDEX ix_runs_superseded_by ON public.runs USING btree (superseded_by);
CREATE INDEX ix_tags_tag ON public.tags USING btree (tag);
CREATE STATISTICS public.st_configs_key_canonical (mcv) ON key, canonical FROM public.configs;
ALTER STATISTICS public.st_configs_key_canonical SET STATISTICS 1000;
CREATE STATISTICS public.st_configs_key_number (mcv) ON key, number FROM public.configs;
ALTER STATISTICS public.st_configs_key_number SET STATISTICS 1000;
ALTER TABLE ONLY public.configs
    ADD CONSTRAINT fk_configs_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.episodes
    ADD CONSTRAINT fk_episodes_evaluation_id FOREIGN KEY (evaluation_id) REFERENCES public.evaluations(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.evaluations
    ADD CONSTRAINT fk_evaluations_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.metrics
    ADD CONSTRAINT fk_metrics_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.notes
    ADD CONSTRAINT fk_notes_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.problems
    ADD CONSTRAINT fk_problems_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT fk_runs_copy_of FOREIGN KEY (copy_of) REFERENCES public.runs(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT fk_runs_root_id FOREIGN KEY (root_id) REFERENCES public.roots(id);
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT fk_runs_superseded_by FOREIGN KEY (superseded_by) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.snapshots
    ADD CONSTRAINT fk_snapshots_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.superseded
    ADD CONSTRAINT fk_superseded_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT fk_tags_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;
