--
-- PostgreSQL database dump
--



SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: analytics; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA analytics;


ALTER SCHEMA analytics OWNER TO postgres;

--
-- Name: gateway; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA gateway;


ALTER SCHEMA gateway OWNER TO postgres;

--
-- Name: generator; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA generator;


ALTER SCHEMA generator OWNER TO postgres;

--
-- Name: judge; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA judge;


ALTER SCHEMA judge OWNER TO postgres;

--
-- Name: note_change_dialogues(); Type: FUNCTION; Schema: generator; Owner: postgres
--

CREATE FUNCTION generator.note_change_dialogues() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
        BEGIN
            NEW.changed_in = pg_current_xact_id();
            RETURN NEW;
        END $$;


ALTER FUNCTION generator.note_change_dialogues() OWNER TO postgres;

--
-- Name: tally_dialogues(); Type: FUNCTION; Schema: generator; Owner: postgres
--

CREATE FUNCTION generator.tally_dialogues() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN INSERT INTO generator.tallies AS t (run_id, shard, tenant_id, written, done, failed, cut_replies, candidate_calls, candidate_prompt_tokens, candidate_completion_tokens, simulator_calls, simulator_prompt_tokens, simulator_completion_tokens)
            SELECT run_id, pg_backend_pid() % 8, tenant_id, sum(written)::bigint, sum(done)::bigint, sum(failed)::bigint, sum(cut_replies)::bigint, sum(candidate_calls)::bigint, sum(candidate_prompt_tokens)::bigint, sum(candidate_completion_tokens)::bigint, sum(simulator_calls)::bigint, sum(simulator_prompt_tokens)::bigint, sum(simulator_completion_tokens)::bigint FROM (SELECT run_id, tenant_id, 1 AS written, (state = 'done')::int AS done, (state = 'failed')::int AS failed, cut_replies AS cut_replies, candidate_calls AS candidate_calls, candidate_prompt_tokens AS candidate_prompt_tokens, candidate_completion_tokens AS candidate_completion_tokens, simulator_calls AS simulator_calls, simulator_prompt_tokens AS simulator_prompt_tokens, simulator_completion_tokens AS simulator_completion_tokens FROM added) x
            GROUP BY run_id, tenant_id HAVING sum(written) <> 0 OR sum(done) <> 0 OR sum(failed) <> 0 OR sum(cut_replies) <> 0 OR sum(candidate_calls) <> 0 OR sum(candidate_prompt_tokens) <> 0 OR sum(candidate_completion_tokens) <> 0 OR sum(simulator_calls) <> 0 OR sum(simulator_prompt_tokens) <> 0 OR sum(simulator_completion_tokens) <> 0 ORDER BY run_id
            ON CONFLICT (run_id, shard) DO UPDATE SET written = t.written + excluded.written, done = t.done + excluded.done, failed = t.failed + excluded.failed, cut_replies = t.cut_replies + excluded.cut_replies, candidate_calls = t.candidate_calls + excluded.candidate_calls, candidate_prompt_tokens = t.candidate_prompt_tokens + excluded.candidate_prompt_tokens, candidate_completion_tokens = t.candidate_completion_tokens + excluded.candidate_completion_tokens, simulator_calls = t.simulator_calls + excluded.simulator_calls, simulator_prompt_tokens = t.simulator_prompt_tokens + excluded.simulator_prompt_tokens, simulator_completion_tokens = t.simulator_completion_tokens + excluded.simulator_completion_tokens;
            ELSE INSERT INTO generator.tallies AS t (run_id, shard, tenant_id, written, done, failed, cut_replies, candidate_calls, candidate_prompt_tokens, candidate_completion_tokens, simulator_calls, simulator_prompt_tokens, simulator_completion_tokens)
            SELECT run_id, pg_backend_pid() % 8, tenant_id, sum(written)::bigint, sum(done)::bigint, sum(failed)::bigint, sum(cut_replies)::bigint, sum(candidate_calls)::bigint, sum(candidate_prompt_tokens)::bigint, sum(candidate_completion_tokens)::bigint, sum(simulator_calls)::bigint, sum(simulator_prompt_tokens)::bigint, sum(simulator_completion_tokens)::bigint FROM (SELECT run_id, tenant_id, 1 AS written, (state = 'done')::int AS done, (state = 'failed')::int AS failed, cut_replies AS cut_replies, candidate_calls AS candidate_calls, candidate_prompt_tokens AS candidate_prompt_tokens, candidate_completion_tokens AS candidate_completion_tokens, simulator_calls AS simulator_calls, simulator_prompt_tokens AS simulator_prompt_tokens, simulator_completion_tokens AS simulator_completion_tokens FROM added UNION ALL SELECT run_id, tenant_id, -1 AS written, -(state = 'done')::int AS done, -(state = 'failed')::int AS failed, -cut_replies AS cut_replies, -candidate_calls AS candidate_calls, -candidate_prompt_tokens AS candidate_prompt_tokens, -candidate_completion_tokens AS candidate_completion_tokens, -simulator_calls AS simulator_calls, -simulator_prompt_tokens AS simulator_prompt_tokens, -simulator_completion_tokens AS simulator_completion_tokens FROM removed) x
            GROUP BY run_id, tenant_id HAVING sum(written) <> 0 OR sum(done) <> 0 OR sum(failed) <> 0 OR sum(cut_replies) <> 0 OR sum(candidate_calls) <> 0 OR sum(candidate_prompt_tokens) <> 0 OR sum(candidate_completion_tokens) <> 0 OR sum(simulator_calls) <> 0 OR sum(simulator_prompt_tokens) <> 0 OR sum(simulator_completion_tokens) <> 0 ORDER BY run_id
            ON CONFLICT (run_id, shard) DO UPDATE SET written = t.written + excluded.written, done = t.done + excluded.done, failed = t.failed + excluded.failed, cut_replies = t.cut_replies + excluded.cut_replies, candidate_calls = t.candidate_calls + excluded.candidate_calls, candidate_prompt_tokens = t.candidate_prompt_tokens + excluded.candidate_prompt_tokens, candidate_completion_tokens = t.candidate_completion_tokens + excluded.candidate_completion_tokens, simulator_calls = t.simulator_calls + excluded.simulator_calls, simulator_prompt_tokens = t.simulator_prompt_tokens + excluded.simulator_prompt_tokens, simulator_completion_tokens = t.simulator_completion_tokens + excluded.simulator_completion_tokens;
            END IF;
            RETURN NULL;
        END $$;


ALTER FUNCTION generator.tally_dialogues() OWNER TO postgres;

--
-- Name: note_change_diversity_verdicts(); Type: FUNCTION; Schema: judge; Owner: postgres
--

CREATE FUNCTION judge.note_change_diversity_verdicts() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
        BEGIN
            NEW.changed_in = pg_current_xact_id();
            RETURN NEW;
        END $$;


ALTER FUNCTION judge.note_change_diversity_verdicts() OWNER TO postgres;

--
-- Name: note_change_verdicts(); Type: FUNCTION; Schema: judge; Owner: postgres
--

CREATE FUNCTION judge.note_change_verdicts() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
        BEGIN
            NEW.changed_in = pg_current_xact_id();
            RETURN NEW;
        END $$;


ALTER FUNCTION judge.note_change_verdicts() OWNER TO postgres;

--
-- Name: tally_diversity_verdicts(); Type: FUNCTION; Schema: judge; Owner: postgres
--

CREATE FUNCTION judge.tally_diversity_verdicts() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN INSERT INTO judge.tallies AS t (run_id, judge, shard, tenant_id, batches_failed, calls, prompt_tokens, completion_tokens)
            SELECT run_id, judge, pg_backend_pid() % 8, tenant_id, sum(batches_failed)::bigint, sum(calls)::bigint, sum(prompt_tokens)::bigint, sum(completion_tokens)::bigint FROM (SELECT run_id, judge, tenant_id, (state = 'failed')::int AS batches_failed, calls AS calls, prompt_tokens AS prompt_tokens, completion_tokens AS completion_tokens FROM added) x
            GROUP BY run_id, judge, tenant_id HAVING sum(batches_failed) <> 0 OR sum(calls) <> 0 OR sum(prompt_tokens) <> 0 OR sum(completion_tokens) <> 0 ORDER BY run_id, judge
            ON CONFLICT (run_id, judge, shard) DO UPDATE SET batches_failed = t.batches_failed + excluded.batches_failed, calls = t.calls + excluded.calls, prompt_tokens = t.prompt_tokens + excluded.prompt_tokens, completion_tokens = t.completion_tokens + excluded.completion_tokens;
            ELSE INSERT INTO judge.tallies AS t (run_id, judge, shard, tenant_id, batches_failed, calls, prompt_tokens, completion_tokens)
            SELECT run_id, judge, pg_backend_pid() % 8, tenant_id, sum(batches_failed)::bigint, sum(calls)::bigint, sum(prompt_tokens)::bigint, sum(completion_tokens)::bigint FROM (SELECT run_id, judge, tenant_id, (state = 'failed')::int AS batches_failed, calls AS calls, prompt_tokens AS prompt_tokens, completion_tokens AS completion_tokens FROM added UNION ALL SELECT run_id, judge, tenant_id, -(state = 'failed')::int AS batches_failed, -calls AS calls, -prompt_tokens AS prompt_tokens, -completion_tokens AS completion_tokens FROM removed) x
            GROUP BY run_id, judge, tenant_id HAVING sum(batches_failed) <> 0 OR sum(calls) <> 0 OR sum(prompt_tokens) <> 0 OR sum(completion_tokens) <> 0 ORDER BY run_id, judge
            ON CONFLICT (run_id, judge, shard) DO UPDATE SET batches_failed = t.batches_failed + excluded.batches_failed, calls = t.calls + excluded.calls, prompt_tokens = t.prompt_tokens + excluded.prompt_tokens, completion_tokens = t.completion_tokens + excluded.completion_tokens;
            END IF;
            RETURN NULL;
        END $$;


ALTER FUNCTION judge.tally_diversity_verdicts() OWNER TO postgres;

--
-- Name: tally_verdicts(); Type: FUNCTION; Schema: judge; Owner: postgres
--

CREATE FUNCTION judge.tally_verdicts() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN INSERT INTO judge.tallies AS t (run_id, judge, shard, tenant_id, done, failed, calls, prompt_tokens, completion_tokens)
            SELECT run_id, judge, pg_backend_pid() % 8, tenant_id, sum(done)::bigint, sum(failed)::bigint, sum(calls)::bigint, sum(prompt_tokens)::bigint, sum(completion_tokens)::bigint FROM (SELECT run_id, judge, tenant_id, (state = 'done')::int AS done, (state = 'failed')::int AS failed, calls AS calls, prompt_tokens AS prompt_tokens, completion_tokens AS completion_tokens FROM added) x
            GROUP BY run_id, judge, tenant_id HAVING sum(done) <> 0 OR sum(failed) <> 0 OR sum(calls) <> 0 OR sum(prompt_tokens) <> 0 OR sum(completion_tokens) <> 0 ORDER BY run_id, judge
            ON CONFLICT (run_id, judge, shard) DO UPDATE SET done = t.done + excluded.done, failed = t.failed + excluded.failed, calls = t.calls + excluded.calls, prompt_tokens = t.prompt_tokens + excluded.prompt_tokens, completion_tokens = t.completion_tokens + excluded.completion_tokens;
            ELSE INSERT INTO judge.tallies AS t (run_id, judge, shard, tenant_id, done, failed, calls, prompt_tokens, completion_tokens)
            SELECT run_id, judge, pg_backend_pid() % 8, tenant_id, sum(done)::bigint, sum(failed)::bigint, sum(calls)::bigint, sum(prompt_tokens)::bigint, sum(completion_tokens)::bigint FROM (SELECT run_id, judge, tenant_id, (state = 'done')::int AS done, (state = 'failed')::int AS failed, calls AS calls, prompt_tokens AS prompt_tokens, completion_tokens AS completion_tokens FROM added UNION ALL SELECT run_id, judge, tenant_id, -(state = 'done')::int AS done, -(state = 'failed')::int AS failed, -calls AS calls, -prompt_tokens AS prompt_tokens, -completion_tokens AS completion_tokens FROM removed) x
            GROUP BY run_id, judge, tenant_id HAVING sum(done) <> 0 OR sum(failed) <> 0 OR sum(calls) <> 0 OR sum(prompt_tokens) <> 0 OR sum(completion_tokens) <> 0 ORDER BY run_id, judge
            ON CONFLICT (run_id, judge, shard) DO UPDATE SET done = t.done + excluded.done, failed = t.failed + excluded.failed, calls = t.calls + excluded.calls, prompt_tokens = t.prompt_tokens + excluded.prompt_tokens, completion_tokens = t.completion_tokens + excluded.completion_tokens;
            END IF;
            RETURN NULL;
        END $$;


ALTER FUNCTION judge.tally_verdicts() OWNER TO postgres;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: agreements; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.agreements (
    run_id uuid NOT NULL,
    kind text NOT NULL,
    tenant_id uuid NOT NULL,
    ratings_sha256 text NOT NULL,
    document json NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_agreements_kind CHECK ((kind = ANY (ARRAY['judge'::text, 'human'::text])))
);


ALTER TABLE analytics.agreements OWNER TO postgres;

--
-- Name: agreements_v1; Type: VIEW; Schema: analytics; Owner: postgres
--

CREATE VIEW analytics.agreements_v1 WITH (security_invoker='true') AS
 SELECT tenant_id,
    run_id,
    kind,
    ratings_sha256,
    created_at
   FROM analytics.agreements;


ALTER VIEW analytics.agreements_v1 OWNER TO postgres;

--
-- Name: counted; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.counted (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    upto xid8 NOT NULL
)
WITH (fillfactor='50');


ALTER TABLE analytics.counted OWNER TO postgres;

--
-- Name: diversity_ratings; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.diversity_ratings (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    "character" text NOT NULL,
    batch integer NOT NULL,
    rater text NOT NULL,
    kind text NOT NULL,
    score smallint NOT NULL,
    explanation text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    import_id uuid,
    CONSTRAINT ck_diversity_ratings_batch CHECK ((batch > 0)),
    CONSTRAINT ck_diversity_ratings_kind CHECK ((kind = ANY (ARRAY['judge'::text, 'human'::text]))),
    CONSTRAINT ck_diversity_ratings_score CHECK (((score >= 1) AND (score <= 5)))
);


ALTER TABLE analytics.diversity_ratings OWNER TO postgres;

--
-- Name: figures; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.figures (
    key character(64) NOT NULL,
    tenant_id uuid NOT NULL,
    run_ids uuid[] NOT NULL,
    media_type text NOT NULL,
    groups integer NOT NULL,
    content bytea NOT NULL,
    made_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE ONLY analytics.figures ALTER COLUMN content SET STORAGE EXTERNAL;


ALTER TABLE analytics.figures OWNER TO postgres;

--
-- Name: gates; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.gates (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    revision integer NOT NULL,
    baseline_run_id uuid,
    verdict text NOT NULL,
    document json NOT NULL,
    sentinel jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE analytics.gates OWNER TO postgres;

--
-- Name: gates_v1; Type: VIEW; Schema: analytics; Owner: postgres
--

CREATE VIEW analytics.gates_v1 WITH (security_invoker='true') AS
 SELECT id,
    tenant_id,
    run_id,
    revision,
    baseline_run_id,
    verdict,
    document,
    sentinel,
    created_at
   FROM analytics.gates;


ALTER VIEW analytics.gates_v1 OWNER TO postgres;

--
-- Name: imports; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.imports (
    run_id uuid NOT NULL,
    import_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    unit text NOT NULL,
    rater text NOT NULL,
    kind text NOT NULL,
    rows integer NOT NULL,
    replaced integer DEFAULT 0 NOT NULL,
    sampling text,
    key_id uuid,
    key_name text,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_imports_kind CHECK ((kind = ANY (ARRAY['judge'::text, 'human'::text]))),
    CONSTRAINT ck_imports_unit CHECK ((unit = ANY (ARRAY['dialogue'::text, 'batch'::text])))
);


ALTER TABLE analytics.imports OWNER TO postgres;

--
-- Name: judge_measures; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.judge_measures (
    tenant_id uuid NOT NULL,
    configuration text NOT NULL,
    judge text NOT NULL,
    document jsonb NOT NULL,
    measured_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE analytics.judge_measures OWNER TO postgres;

--
-- Name: judge_measures_v1; Type: VIEW; Schema: analytics; Owner: postgres
--

CREATE VIEW analytics.judge_measures_v1 WITH (security_invoker='true') AS
 SELECT tenant_id,
    configuration,
    judge,
    document,
    measured_at
   FROM analytics.judge_measures;


ALTER VIEW analytics.judge_measures_v1 OWNER TO postgres;

--
-- Name: looks; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.looks (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    release text NOT NULL,
    baseline_run_id uuid,
    candidate text NOT NULL,
    run_id uuid NOT NULL,
    dialogues integer NOT NULL,
    run_dialogues integer NOT NULL,
    ratings text NOT NULL,
    most integer NOT NULL,
    spent double precision NOT NULL,
    again boolean NOT NULL,
    verdict text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE analytics.looks OWNER TO postgres;

--
-- Name: packed; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.packed (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    changes bigint NOT NULL,
    judged boolean NOT NULL,
    kinds text[] NOT NULL,
    document bytea NOT NULL,
    sha256 text NOT NULL
);
ALTER TABLE ONLY analytics.packed ALTER COLUMN document SET STORAGE EXTERNAL;


ALTER TABLE analytics.packed OWNER TO postgres;

--
-- Name: rated; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.rated (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    changes bigint DEFAULT 1 NOT NULL,
    agreed bigint DEFAULT 0 NOT NULL
);


ALTER TABLE analytics.rated OWNER TO postgres;

--
-- Name: ratings; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.ratings (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    dialogue_id uuid NOT NULL,
    "character" text NOT NULL,
    scenario text,
    replicate integer NOT NULL,
    metric text NOT NULL,
    rater text NOT NULL,
    kind text NOT NULL,
    score smallint NOT NULL,
    explanation text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    sampling text,
    import_id uuid,
    CONSTRAINT ck_ratings_kind CHECK ((kind = ANY (ARRAY['judge'::text, 'human'::text]))),
    CONSTRAINT ck_ratings_sampling CHECK ((sampling = ANY (ARRAY['random'::text, 'drawn'::text]))),
    CONSTRAINT ck_ratings_score CHECK (((score >= 1) AND (score <= 5)))
);


ALTER TABLE analytics.ratings OWNER TO postgres;

--
-- Name: ratings_v1; Type: VIEW; Schema: analytics; Owner: postgres
--

CREATE VIEW analytics.ratings_v1 WITH (security_invoker='true') AS
 SELECT tenant_id,
    run_id,
    dialogue_id,
    "character",
    scenario,
    replicate,
    metric,
    rater,
    kind,
    score,
    explanation,
    created_at
   FROM analytics.ratings;


ALTER VIEW analytics.ratings_v1 OWNER TO postgres;

--
-- Name: replies; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.replies (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    dialogue_id uuid NOT NULL,
    counted json NOT NULL
);


ALTER TABLE analytics.replies OWNER TO postgres;

--
-- Name: reports; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.reports (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    revision integer NOT NULL,
    ratings_sha256 text NOT NULL,
    document json NOT NULL,
    sha256 text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    agreement_kind text,
    agreement_sha256 text,
    limits json
);


ALTER TABLE analytics.reports OWNER TO postgres;

--
-- Name: reports_v1; Type: VIEW; Schema: analytics; Owner: postgres
--

CREATE VIEW analytics.reports_v1 WITH (security_invoker='true') AS
 SELECT run_id,
    tenant_id,
    revision,
    sha256,
    created_at
   FROM analytics.reports;


ALTER VIEW analytics.reports_v1 OWNER TO postgres;

--
-- Name: spreads; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.spreads (
    tenant_id uuid NOT NULL,
    suite_id uuid NOT NULL,
    judges text[] NOT NULL,
    document jsonb NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE analytics.spreads OWNER TO postgres;

--
-- Name: spreads_v1; Type: VIEW; Schema: analytics; Owner: postgres
--

CREATE VIEW analytics.spreads_v1 WITH (security_invoker='true') AS
 SELECT tenant_id,
    suite_id,
    judges,
    document
   FROM analytics.spreads;


ALTER VIEW analytics.spreads_v1 OWNER TO postgres;

--
-- Name: taken; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.taken (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    upto xid8 NOT NULL
)
WITH (fillfactor='50');


ALTER TABLE analytics.taken OWNER TO postgres;

--
-- Name: unmeasured; Type: TABLE; Schema: analytics; Owner: postgres
--

CREATE TABLE analytics.unmeasured (
    tenant_id uuid NOT NULL,
    since timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


ALTER TABLE analytics.unmeasured OWNER TO postgres;

--
-- Name: api_keys; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.api_keys (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    prefix text NOT NULL,
    sha256 bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    revoked_at timestamp with time zone
);


ALTER TABLE gateway.api_keys OWNER TO postgres;

--
-- Name: baselines; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.baselines (
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    run_id uuid NOT NULL,
    set_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE gateway.baselines OWNER TO postgres;

--
-- Name: checks; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.checks (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    outcome text NOT NULL,
    url text,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_checks_outcome CHECK ((outcome = ANY (ARRAY['pass'::text, 'fail'::text])))
);


ALTER TABLE gateway.checks OWNER TO postgres;

--
-- Name: checks_v1; Type: VIEW; Schema: gateway; Owner: postgres
--

CREATE VIEW gateway.checks_v1 WITH (security_invoker='true') AS
 SELECT run_id,
    tenant_id,
    name,
    outcome,
    url,
    at
   FROM gateway.checks;


ALTER VIEW gateway.checks_v1 OWNER TO postgres;

--
-- Name: deletions; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.deletions (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE gateway.deletions OWNER TO postgres;

--
-- Name: deletions_v1; Type: VIEW; Schema: gateway; Owner: postgres
--

CREATE VIEW gateway.deletions_v1 WITH (security_invoker='true') AS
 SELECT run_id,
    tenant_id,
    created_at
   FROM gateway.deletions;


ALTER VIEW gateway.deletions_v1 OWNER TO postgres;

--
-- Name: events; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.events (
    id bigint NOT NULL,
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    type text NOT NULL,
    key text NOT NULL,
    data jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE gateway.events OWNER TO postgres;

--
-- Name: events_id_seq; Type: SEQUENCE; Schema: gateway; Owner: postgres
--

ALTER TABLE gateway.events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME gateway.events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: gates; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.gates (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    sha256 text NOT NULL,
    policy jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE gateway.gates OWNER TO postgres;

--
-- Name: idempotency_keys; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.idempotency_keys (
    tenant_id uuid NOT NULL,
    key text NOT NULL,
    request_sha256 text NOT NULL,
    status integer NOT NULL,
    headers jsonb NOT NULL,
    body jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE gateway.idempotency_keys OWNER TO postgres;

--
-- Name: rejudged_runs; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.rejudged_runs (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    source_id uuid NOT NULL,
    copy_id uuid
);


ALTER TABLE gateway.rejudged_runs OWNER TO postgres;

--
-- Name: rejudged_runs_v1; Type: VIEW; Schema: gateway; Owner: postgres
--

CREATE VIEW gateway.rejudged_runs_v1 WITH (security_invoker='true') AS
 SELECT run_id,
    tenant_id,
    source_id
   FROM gateway.rejudged_runs;


ALTER VIEW gateway.rejudged_runs_v1 OWNER TO postgres;

--
-- Name: runs; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.runs (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text,
    suite_id uuid NOT NULL,
    suite_label text NOT NULL,
    candidate jsonb NOT NULL,
    candidate_name text NOT NULL,
    secret_id uuid,
    transcript_id uuid,
    simulator text,
    judges text[] NOT NULL,
    rounds integer NOT NULL,
    replicates integer NOT NULL,
    sample jsonb,
    labels jsonb NOT NULL,
    plan jsonb NOT NULL,
    manifest jsonb NOT NULL,
    manifest_sha256 text NOT NULL,
    status text NOT NULL,
    phase text,
    revision integer DEFAULT 1 NOT NULL,
    error jsonb,
    warnings jsonb DEFAULT '[]'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    budget jsonb,
    prices jsonb,
    retry_at timestamp with time zone,
    frozen_id uuid,
    request_sha256 text,
    gate jsonb,
    gating_until timestamp with time zone,
    verdict text,
    followed xid8 DEFAULT '0'::xid8 NOT NULL,
    outcome jsonb,
    CONSTRAINT ck_runs_phase CHECK ((phase = ANY (ARRAY['generating'::text, 'judging'::text, 'analysing'::text]))),
    CONSTRAINT ck_runs_status CHECK ((status = ANY (ARRAY['queued'::text, 'running'::text, 'cancelling'::text, 'succeeded'::text, 'failed'::text, 'cancelled'::text, 'budget_exhausted'::text]))),
    CONSTRAINT ck_runs_verdict CHECK ((verdict = ANY (ARRAY['pass'::text, 'fail'::text, 'inconclusive'::text, 'error'::text])))
);


ALTER TABLE gateway.runs OWNER TO postgres;

--
-- Name: runs_v1; Type: VIEW; Schema: gateway; Owner: postgres
--

CREATE VIEW gateway.runs_v1 WITH (security_invoker='true') AS
 SELECT id,
    tenant_id,
    status,
    phase,
    revision,
    suite_id,
    suite_label,
    candidate,
    candidate_name,
    secret_id,
    transcript_id,
    simulator,
    judges,
    rounds,
    replicates,
    sample,
    plan,
    manifest,
    manifest_sha256,
    created_at,
    budget,
    prices,
    retry_at,
    frozen_id,
    labels,
    name
   FROM gateway.runs;


ALTER VIEW gateway.runs_v1 OWNER TO postgres;

--
-- Name: scenario_selections; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.scenario_selections (
    tenant_id uuid NOT NULL,
    set_id uuid NOT NULL,
    draft_id uuid NOT NULL,
    suite_id uuid NOT NULL
);


ALTER TABLE gateway.scenario_selections OWNER TO postgres;

--
-- Name: scenario_sets; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.scenario_sets (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    language text NOT NULL,
    grid jsonb NOT NULL,
    writer jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE gateway.scenario_sets OWNER TO postgres;

--
-- Name: scenario_sets_v1; Type: VIEW; Schema: gateway; Owner: postgres
--

CREATE VIEW gateway.scenario_sets_v1 WITH (security_invoker='true') AS
 SELECT id,
    tenant_id,
    language,
    grid,
    created_at
   FROM gateway.scenario_sets;


ALTER VIEW gateway.scenario_sets_v1 OWNER TO postgres;

--
-- Name: secrets; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.secrets (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE gateway.secrets OWNER TO postgres;

--
-- Name: secrets_v1; Type: VIEW; Schema: gateway; Owner: postgres
--

CREATE VIEW gateway.secrets_v1 WITH (security_invoker='true') AS
 SELECT id,
    tenant_id,
    sealed
   FROM gateway.secrets;


ALTER VIEW gateway.secrets_v1 OWNER TO postgres;

--
-- Name: shortlist_runs; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.shortlist_runs (
    shortlist_id uuid NOT NULL,
    "position" integer NOT NULL,
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL
);


ALTER TABLE gateway.shortlist_runs OWNER TO postgres;

--
-- Name: shortlists; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.shortlists (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text,
    suite_label text NOT NULL,
    judges text[] NOT NULL,
    keep integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE gateway.shortlists OWNER TO postgres;

--
-- Name: suites; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.suites (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    sha256 text NOT NULL,
    language text NOT NULL,
    document jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE gateway.suites OWNER TO postgres;

--
-- Name: suites_v1; Type: VIEW; Schema: gateway; Owner: postgres
--

CREATE VIEW gateway.suites_v1 WITH (security_invoker='true') AS
 SELECT id,
    tenant_id,
    name,
    version,
    sha256,
    language,
    document
   FROM gateway.suites;


ALTER VIEW gateway.suites_v1 OWNER TO postgres;

--
-- Name: tenants; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.tenants (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE gateway.tenants OWNER TO postgres;

--
-- Name: transcript_dialogues; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.transcript_dialogues (
    tenant_id uuid NOT NULL,
    transcript_id uuid NOT NULL,
    "position" integer NOT NULL,
    "character" text NOT NULL,
    scenario text,
    replicate integer NOT NULL,
    turns jsonb NOT NULL
);


ALTER TABLE gateway.transcript_dialogues OWNER TO postgres;

--
-- Name: transcript_dialogues_v1; Type: VIEW; Schema: gateway; Owner: postgres
--

CREATE VIEW gateway.transcript_dialogues_v1 WITH (security_invoker='true') AS
 SELECT tenant_id,
    transcript_id,
    "position",
    "character",
    scenario,
    replicate,
    turns
   FROM gateway.transcript_dialogues;


ALTER VIEW gateway.transcript_dialogues_v1 OWNER TO postgres;

--
-- Name: transcripts; Type: TABLE; Schema: gateway; Owner: postgres
--

CREATE TABLE gateway.transcripts (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    suite_id uuid NOT NULL,
    sha256 text NOT NULL,
    dialogues integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE gateway.transcripts OWNER TO postgres;

--
-- Name: dialogues; Type: TABLE; Schema: generator; Owner: postgres
--

CREATE TABLE generator.dialogues (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    "position" integer NOT NULL,
    "character" text NOT NULL,
    scenario text,
    replicate integer NOT NULL,
    state text NOT NULL,
    turns jsonb DEFAULT '[]'::jsonb NOT NULL,
    error jsonb,
    slice_id uuid,
    candidate_calls integer DEFAULT 0 NOT NULL,
    candidate_prompt_tokens bigint DEFAULT 0 NOT NULL,
    candidate_completion_tokens bigint DEFAULT 0 NOT NULL,
    simulator_calls integer DEFAULT 0 NOT NULL,
    simulator_prompt_tokens bigint DEFAULT 0 NOT NULL,
    simulator_completion_tokens bigint DEFAULT 0 NOT NULL,
    finished_at timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    not_before timestamp with time zone,
    cut_replies integer DEFAULT 0 NOT NULL,
    changed_in xid8,
    CONSTRAINT ck_dialogues_state CHECK ((state = ANY (ARRAY['waiting'::text, 'playing'::text, 'done'::text, 'failed'::text, 'cancelled'::text])))
)
WITH (fillfactor='70');


ALTER TABLE generator.dialogues OWNER TO postgres;

--
-- Name: dialogues_v1; Type: VIEW; Schema: generator; Owner: postgres
--

CREATE VIEW generator.dialogues_v1 WITH (security_invoker='true') AS
 SELECT id,
    tenant_id,
    run_id,
    "position",
    "character",
    scenario,
    replicate,
    state,
    turns,
    error,
    candidate_calls,
    candidate_prompt_tokens,
    candidate_completion_tokens,
    simulator_calls,
    simulator_prompt_tokens,
    simulator_completion_tokens,
    finished_at,
    attempts,
    cut_replies,
    changed_in
   FROM generator.dialogues;


ALTER VIEW generator.dialogues_v1 OWNER TO postgres;

--
-- Name: exhausted; Type: TABLE; Schema: generator; Owner: postgres
--

CREATE TABLE generator.exhausted (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    revision integer NOT NULL
);


ALTER TABLE generator.exhausted OWNER TO postgres;

--
-- Name: exhausted_v1; Type: VIEW; Schema: generator; Owner: postgres
--

CREATE VIEW generator.exhausted_v1 WITH (security_invoker='true') AS
 SELECT run_id,
    tenant_id,
    revision
   FROM generator.exhausted;


ALTER VIEW generator.exhausted_v1 OWNER TO postgres;

--
-- Name: pace_changes; Type: TABLE; Schema: generator; Owner: postgres
--

CREATE TABLE generator.pace_changes (
    id bigint NOT NULL,
    tenant_id uuid NOT NULL,
    endpoint text NOT NULL,
    "limit" integer NOT NULL,
    cause text NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


ALTER TABLE generator.pace_changes OWNER TO postgres;

--
-- Name: pace_changes_id_seq; Type: SEQUENCE; Schema: generator; Owner: postgres
--

ALTER TABLE generator.pace_changes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME generator.pace_changes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: pace_changes_v1; Type: VIEW; Schema: generator; Owner: postgres
--

CREATE VIEW generator.pace_changes_v1 WITH (security_invoker='true') AS
 SELECT id,
    tenant_id,
    endpoint,
    "limit",
    cause,
    at
   FROM generator.pace_changes;


ALTER VIEW generator.pace_changes_v1 OWNER TO postgres;

--
-- Name: pacing; Type: TABLE; Schema: generator; Owner: postgres
--

CREATE TABLE generator.pacing (
    tenant_id uuid NOT NULL,
    endpoint text NOT NULL,
    pace jsonb,
    calls_left double precision NOT NULL,
    tokens_left double precision NOT NULL,
    heard_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='50');


ALTER TABLE generator.pacing OWNER TO postgres;

--
-- Name: scenario_drafts; Type: TABLE; Schema: generator; Owner: postgres
--

CREATE TABLE generator.scenario_drafts (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    set_id uuid NOT NULL,
    "position" integer NOT NULL,
    persona text NOT NULL,
    emotion text NOT NULL,
    location text NOT NULL,
    number integer NOT NULL,
    state text NOT NULL,
    event text,
    question text,
    writer jsonb,
    attempts integer DEFAULT 0 NOT NULL,
    raw text,
    error jsonb,
    near_duplicate_of uuid,
    similarity double precision,
    calls integer DEFAULT 0 NOT NULL,
    prompt_tokens bigint DEFAULT 0 NOT NULL,
    completion_tokens bigint DEFAULT 0 NOT NULL,
    slice_id uuid,
    finished_at timestamp with time zone,
    CONSTRAINT ck_scenario_drafts_state CHECK ((state = ANY (ARRAY['waiting'::text, 'writing'::text, 'written'::text, 'failed'::text])))
)
WITH (fillfactor='70');


ALTER TABLE generator.scenario_drafts OWNER TO postgres;

--
-- Name: scenario_drafts_v1; Type: VIEW; Schema: generator; Owner: postgres
--

CREATE VIEW generator.scenario_drafts_v1 WITH (security_invoker='true') AS
 SELECT id,
    tenant_id,
    set_id,
    "position",
    persona,
    emotion,
    location,
    number,
    state,
    event,
    question,
    writer,
    attempts,
    raw,
    error,
    near_duplicate_of,
    similarity,
    calls,
    prompt_tokens,
    completion_tokens,
    finished_at
   FROM generator.scenario_drafts;


ALTER VIEW generator.scenario_drafts_v1 OWNER TO postgres;

--
-- Name: seats; Type: TABLE; Schema: generator; Owner: postgres
--

CREATE TABLE generator.seats (
    tenant_id uuid NOT NULL,
    endpoint text NOT NULL,
    worker uuid NOT NULL,
    granted integer NOT NULL,
    wanted integer NOT NULL,
    cap integer NOT NULL,
    heard_at timestamp with time zone NOT NULL
)
WITH (fillfactor='50');


ALTER TABLE generator.seats OWNER TO postgres;

--
-- Name: slices; Type: TABLE; Schema: generator; Owner: postgres
--

CREATE TABLE generator.slices (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    reserved_calls double precision DEFAULT 0 NOT NULL,
    reserved_tokens double precision DEFAULT 0 NOT NULL,
    reserved_cost double precision DEFAULT 0 NOT NULL
);


ALTER TABLE generator.slices OWNER TO postgres;

--
-- Name: slices_v1; Type: VIEW; Schema: generator; Owner: postgres
--

CREATE VIEW generator.slices_v1 WITH (security_invoker='true') AS
 SELECT id,
    run_id,
    expires_at,
    reserved_calls,
    reserved_tokens,
    reserved_cost
   FROM generator.slices;


ALTER VIEW generator.slices_v1 OWNER TO postgres;

--
-- Name: tallies; Type: TABLE; Schema: generator; Owner: postgres
--

CREATE TABLE generator.tallies (
    run_id uuid NOT NULL,
    shard smallint NOT NULL,
    tenant_id uuid NOT NULL,
    written bigint DEFAULT 0 NOT NULL,
    done bigint DEFAULT 0 NOT NULL,
    failed bigint DEFAULT 0 NOT NULL,
    cut_replies bigint DEFAULT 0 NOT NULL,
    candidate_calls bigint DEFAULT 0 NOT NULL,
    candidate_prompt_tokens bigint DEFAULT 0 NOT NULL,
    candidate_completion_tokens bigint DEFAULT 0 NOT NULL,
    simulator_calls bigint DEFAULT 0 NOT NULL,
    simulator_prompt_tokens bigint DEFAULT 0 NOT NULL,
    simulator_completion_tokens bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');


ALTER TABLE generator.tallies OWNER TO postgres;

--
-- Name: tallies_v1; Type: VIEW; Schema: generator; Owner: postgres
--

CREATE VIEW generator.tallies_v1 WITH (security_invoker='true') AS
 SELECT run_id,
    tenant_id,
    written,
    done,
    failed,
    cut_replies,
    candidate_calls,
    candidate_prompt_tokens,
    candidate_completion_tokens,
    simulator_calls,
    simulator_prompt_tokens,
    simulator_completion_tokens
   FROM generator.tallies;


ALTER VIEW generator.tallies_v1 OWNER TO postgres;

--
-- Name: cards; Type: TABLE; Schema: judge; Owner: postgres
--

CREATE TABLE judge.cards (
    configuration text NOT NULL,
    language text NOT NULL,
    attack text NOT NULL,
    tenant_id uuid NOT NULL,
    judge text NOT NULL,
    battery text NOT NULL,
    document jsonb NOT NULL,
    measured_at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE judge.cards OWNER TO postgres;

--
-- Name: cards_v1; Type: VIEW; Schema: judge; Owner: postgres
--

CREATE VIEW judge.cards_v1 WITH (security_invoker='true') AS
 SELECT configuration,
    language,
    attack,
    judge,
    battery,
    document,
    measured_at
   FROM judge.cards;


ALTER VIEW judge.cards_v1 OWNER TO postgres;

--
-- Name: diversity_plans; Type: TABLE; Schema: judge; Owner: postgres
--

CREATE TABLE judge.diversity_plans (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    revision integer,
    played integer NOT NULL
);


ALTER TABLE judge.diversity_plans OWNER TO postgres;

--
-- Name: diversity_plans_v1; Type: VIEW; Schema: judge; Owner: postgres
--

CREATE VIEW judge.diversity_plans_v1 WITH (security_invoker='true') AS
 SELECT run_id,
    tenant_id,
    revision
   FROM judge.diversity_plans;


ALTER VIEW judge.diversity_plans_v1 OWNER TO postgres;

--
-- Name: diversity_verdicts; Type: TABLE; Schema: judge; Owner: postgres
--

CREATE TABLE judge.diversity_verdicts (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    "character" text NOT NULL,
    batch integer NOT NULL,
    judge text NOT NULL,
    replies jsonb NOT NULL,
    state text NOT NULL,
    outdated boolean DEFAULT false NOT NULL,
    score smallint,
    explanation text,
    raw text,
    error jsonb,
    attempts integer DEFAULT 0 NOT NULL,
    not_before timestamp with time zone,
    slice_id uuid,
    calls integer DEFAULT 0 NOT NULL,
    prompt_tokens bigint DEFAULT 0 NOT NULL,
    completion_tokens bigint DEFAULT 0 NOT NULL,
    finished_at timestamp with time zone,
    changed_in xid8,
    CONSTRAINT ck_diversity_verdicts_score CHECK (((score >= 1) AND (score <= 5))),
    CONSTRAINT ck_diversity_verdicts_state CHECK ((state = ANY (ARRAY['waiting'::text, 'rating'::text, 'done'::text, 'failed'::text, 'outdated'::text])))
)
WITH (fillfactor='70');


ALTER TABLE judge.diversity_verdicts OWNER TO postgres;

--
-- Name: diversity_verdicts_v1; Type: VIEW; Schema: judge; Owner: postgres
--

CREATE VIEW judge.diversity_verdicts_v1 WITH (security_invoker='true') AS
 SELECT id,
    tenant_id,
    run_id,
    "character",
    batch,
    judge,
    replies,
    state,
    score,
    explanation,
    raw,
    error,
    calls,
    prompt_tokens,
    completion_tokens,
    finished_at,
    changed_in
   FROM judge.diversity_verdicts;


ALTER VIEW judge.diversity_verdicts_v1 OWNER TO postgres;

--
-- Name: exhausted; Type: TABLE; Schema: judge; Owner: postgres
--

CREATE TABLE judge.exhausted (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    revision integer NOT NULL
);


ALTER TABLE judge.exhausted OWNER TO postgres;

--
-- Name: exhausted_v1; Type: VIEW; Schema: judge; Owner: postgres
--

CREATE VIEW judge.exhausted_v1 WITH (security_invoker='true') AS
 SELECT run_id,
    tenant_id,
    revision
   FROM judge.exhausted;


ALTER VIEW judge.exhausted_v1 OWNER TO postgres;

--
-- Name: expected; Type: TABLE; Schema: judge; Owner: postgres
--

CREATE TABLE judge.expected (
    run_id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    upto xid8 NOT NULL
)
WITH (fillfactor='50');


ALTER TABLE judge.expected OWNER TO postgres;

--
-- Name: pace_changes; Type: TABLE; Schema: judge; Owner: postgres
--

CREATE TABLE judge.pace_changes (
    id bigint NOT NULL,
    tenant_id uuid NOT NULL,
    endpoint text NOT NULL,
    "limit" integer NOT NULL,
    cause text NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);


ALTER TABLE judge.pace_changes OWNER TO postgres;

--
-- Name: pace_changes_id_seq; Type: SEQUENCE; Schema: judge; Owner: postgres
--

ALTER TABLE judge.pace_changes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME judge.pace_changes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: pace_changes_v1; Type: VIEW; Schema: judge; Owner: postgres
--

CREATE VIEW judge.pace_changes_v1 WITH (security_invoker='true') AS
 SELECT id,
    tenant_id,
    endpoint,
    "limit",
    cause,
    at
   FROM judge.pace_changes;


ALTER VIEW judge.pace_changes_v1 OWNER TO postgres;

--
-- Name: pacing; Type: TABLE; Schema: judge; Owner: postgres
--

CREATE TABLE judge.pacing (
    tenant_id uuid NOT NULL,
    endpoint text NOT NULL,
    pace jsonb,
    calls_left double precision NOT NULL,
    tokens_left double precision NOT NULL,
    heard_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='50');


ALTER TABLE judge.pacing OWNER TO postgres;

--
-- Name: seats; Type: TABLE; Schema: judge; Owner: postgres
--

CREATE TABLE judge.seats (
    tenant_id uuid NOT NULL,
    endpoint text NOT NULL,
    worker uuid NOT NULL,
    granted integer NOT NULL,
    wanted integer NOT NULL,
    cap integer NOT NULL,
    heard_at timestamp with time zone NOT NULL
)
WITH (fillfactor='50');


ALTER TABLE judge.seats OWNER TO postgres;

--
-- Name: slices; Type: TABLE; Schema: judge; Owner: postgres
--

CREATE TABLE judge.slices (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    reserved_calls double precision DEFAULT 0 NOT NULL,
    reserved_tokens double precision DEFAULT 0 NOT NULL,
    reserved_cost double precision DEFAULT 0 NOT NULL
);


ALTER TABLE judge.slices OWNER TO postgres;

--
-- Name: slices_v1; Type: VIEW; Schema: judge; Owner: postgres
--

CREATE VIEW judge.slices_v1 WITH (security_invoker='true') AS
 SELECT id,
    run_id,
    expires_at,
    reserved_calls,
    reserved_tokens,
    reserved_cost
   FROM judge.slices;


ALTER VIEW judge.slices_v1 OWNER TO postgres;

--
-- Name: tallies; Type: TABLE; Schema: judge; Owner: postgres
--

CREATE TABLE judge.tallies (
    run_id uuid NOT NULL,
    judge text NOT NULL,
    shard smallint NOT NULL,
    tenant_id uuid NOT NULL,
    done bigint DEFAULT 0 NOT NULL,
    failed bigint DEFAULT 0 NOT NULL,
    batches_failed bigint DEFAULT 0 NOT NULL,
    calls bigint DEFAULT 0 NOT NULL,
    prompt_tokens bigint DEFAULT 0 NOT NULL,
    completion_tokens bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');


ALTER TABLE judge.tallies OWNER TO postgres;

--
-- Name: tallies_v1; Type: VIEW; Schema: judge; Owner: postgres
--

CREATE VIEW judge.tallies_v1 WITH (security_invoker='true') AS
 SELECT run_id,
    judge,
    tenant_id,
    done,
    failed,
    batches_failed,
    calls,
    prompt_tokens,
    completion_tokens
   FROM judge.tallies;


ALTER VIEW judge.tallies_v1 OWNER TO postgres;

--
-- Name: verdicts; Type: TABLE; Schema: judge; Owner: postgres
--

CREATE TABLE judge.verdicts (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    dialogue_id uuid NOT NULL,
    "character" text NOT NULL,
    scenario text,
    replicate integer NOT NULL,
    judge text NOT NULL,
    state text NOT NULL,
    scores jsonb DEFAULT '{}'::jsonb NOT NULL,
    raw text,
    error jsonb,
    attempts integer DEFAULT 0 NOT NULL,
    slice_id uuid,
    calls integer DEFAULT 0 NOT NULL,
    prompt_tokens bigint DEFAULT 0 NOT NULL,
    completion_tokens bigint DEFAULT 0 NOT NULL,
    finished_at timestamp with time zone,
    not_before timestamp with time zone,
    changed_in xid8,
    CONSTRAINT ck_verdicts_state CHECK ((state = ANY (ARRAY['waiting'::text, 'rating'::text, 'done'::text, 'failed'::text])))
)
WITH (fillfactor='70');


ALTER TABLE judge.verdicts OWNER TO postgres;

--
-- Name: verdicts_v1; Type: VIEW; Schema: judge; Owner: postgres
--

CREATE VIEW judge.verdicts_v1 WITH (security_invoker='true') AS
 SELECT id,
    tenant_id,
    run_id,
    dialogue_id,
    "character",
    scenario,
    replicate,
    judge,
    state,
    scores,
    raw,
    error,
    calls,
    prompt_tokens,
    completion_tokens,
    finished_at,
    changed_in
   FROM judge.verdicts;


ALTER VIEW judge.verdicts_v1 OWNER TO postgres;

--
-- Name: alembic_version; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);


ALTER TABLE public.alembic_version OWNER TO postgres;

--
-- Name: agreements agreements_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.agreements
    ADD CONSTRAINT agreements_pkey PRIMARY KEY (run_id, kind);


--
-- Name: counted counted_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.counted
    ADD CONSTRAINT counted_pkey PRIMARY KEY (run_id);


--
-- Name: diversity_ratings diversity_ratings_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.diversity_ratings
    ADD CONSTRAINT diversity_ratings_pkey PRIMARY KEY (run_id, "character", batch, rater, kind);


--
-- Name: figures figures_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.figures
    ADD CONSTRAINT figures_pkey PRIMARY KEY (key);


--
-- Name: gates gates_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.gates
    ADD CONSTRAINT gates_pkey PRIMARY KEY (id);


--
-- Name: imports imports_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.imports
    ADD CONSTRAINT imports_pkey PRIMARY KEY (run_id, import_id, rater, kind);


--
-- Name: judge_measures judge_measures_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.judge_measures
    ADD CONSTRAINT judge_measures_pkey PRIMARY KEY (tenant_id, configuration);


--
-- Name: looks looks_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.looks
    ADD CONSTRAINT looks_pkey PRIMARY KEY (id);


--
-- Name: packed packed_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.packed
    ADD CONSTRAINT packed_pkey PRIMARY KEY (run_id);


--
-- Name: rated rated_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.rated
    ADD CONSTRAINT rated_pkey PRIMARY KEY (run_id);


--
-- Name: ratings ratings_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.ratings
    ADD CONSTRAINT ratings_pkey PRIMARY KEY (run_id, dialogue_id, metric, rater, kind);


--
-- Name: replies replies_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.replies
    ADD CONSTRAINT replies_pkey PRIMARY KEY (dialogue_id);


--
-- Name: reports reports_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.reports
    ADD CONSTRAINT reports_pkey PRIMARY KEY (run_id);


--
-- Name: spreads spreads_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.spreads
    ADD CONSTRAINT spreads_pkey PRIMARY KEY (tenant_id, suite_id, judges);


--
-- Name: taken taken_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.taken
    ADD CONSTRAINT taken_pkey PRIMARY KEY (run_id);


--
-- Name: unmeasured unmeasured_pkey; Type: CONSTRAINT; Schema: analytics; Owner: postgres
--

ALTER TABLE ONLY analytics.unmeasured
    ADD CONSTRAINT unmeasured_pkey PRIMARY KEY (tenant_id);


--
-- Name: api_keys api_keys_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);


--
-- Name: baselines baselines_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.baselines
    ADD CONSTRAINT baselines_pkey PRIMARY KEY (tenant_id, name);


--
-- Name: checks checks_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.checks
    ADD CONSTRAINT checks_pkey PRIMARY KEY (run_id, name);


--
-- Name: deletions deletions_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.deletions
    ADD CONSTRAINT deletions_pkey PRIMARY KEY (run_id);


--
-- Name: events events_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (id);


--
-- Name: gates gates_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.gates
    ADD CONSTRAINT gates_pkey PRIMARY KEY (id);


--
-- Name: idempotency_keys idempotency_keys_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, key);


--
-- Name: rejudged_runs rejudged_runs_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.rejudged_runs
    ADD CONSTRAINT rejudged_runs_pkey PRIMARY KEY (run_id);


--
-- Name: runs runs_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);


--
-- Name: scenario_selections scenario_selections_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.scenario_selections
    ADD CONSTRAINT scenario_selections_pkey PRIMARY KEY (set_id, draft_id, suite_id);


--
-- Name: scenario_sets scenario_sets_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.scenario_sets
    ADD CONSTRAINT scenario_sets_pkey PRIMARY KEY (id);


--
-- Name: secrets secrets_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.secrets
    ADD CONSTRAINT secrets_pkey PRIMARY KEY (id);


--
-- Name: shortlist_runs shortlist_runs_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.shortlist_runs
    ADD CONSTRAINT shortlist_runs_pkey PRIMARY KEY (shortlist_id, "position");


--
-- Name: shortlists shortlists_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.shortlists
    ADD CONSTRAINT shortlists_pkey PRIMARY KEY (id);


--
-- Name: suites suites_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.suites
    ADD CONSTRAINT suites_pkey PRIMARY KEY (id);


--
-- Name: tenants tenants_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);


--
-- Name: transcript_dialogues transcript_dialogues_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.transcript_dialogues
    ADD CONSTRAINT transcript_dialogues_pkey PRIMARY KEY (transcript_id, "position");


--
-- Name: transcripts transcripts_pkey; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.transcripts
    ADD CONSTRAINT transcripts_pkey PRIMARY KEY (id);


--
-- Name: api_keys uq_api_keys_sha256; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.api_keys
    ADD CONSTRAINT uq_api_keys_sha256 UNIQUE (sha256);


--
-- Name: events uq_events_run_id_key; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.events
    ADD CONSTRAINT uq_events_run_id_key UNIQUE (run_id, key);


--
-- Name: gates uq_gates_tenant_id_name_version; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.gates
    ADD CONSTRAINT uq_gates_tenant_id_name_version UNIQUE (tenant_id, name, version);


--
-- Name: suites uq_suites_tenant_id_name_sha256; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.suites
    ADD CONSTRAINT uq_suites_tenant_id_name_sha256 UNIQUE (tenant_id, name, sha256);


--
-- Name: suites uq_suites_tenant_id_name_version; Type: CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.suites
    ADD CONSTRAINT uq_suites_tenant_id_name_version UNIQUE (tenant_id, name, version);


--
-- Name: dialogues dialogues_pkey; Type: CONSTRAINT; Schema: generator; Owner: postgres
--

ALTER TABLE ONLY generator.dialogues
    ADD CONSTRAINT dialogues_pkey PRIMARY KEY (id);


--
-- Name: exhausted exhausted_pkey; Type: CONSTRAINT; Schema: generator; Owner: postgres
--

ALTER TABLE ONLY generator.exhausted
    ADD CONSTRAINT exhausted_pkey PRIMARY KEY (run_id);


--
-- Name: pace_changes pace_changes_pkey; Type: CONSTRAINT; Schema: generator; Owner: postgres
--

ALTER TABLE ONLY generator.pace_changes
    ADD CONSTRAINT pace_changes_pkey PRIMARY KEY (id);


--
-- Name: pacing pacing_pkey; Type: CONSTRAINT; Schema: generator; Owner: postgres
--

ALTER TABLE ONLY generator.pacing
    ADD CONSTRAINT pacing_pkey PRIMARY KEY (tenant_id, endpoint);


--
-- Name: scenario_drafts scenario_drafts_pkey; Type: CONSTRAINT; Schema: generator; Owner: postgres
--

ALTER TABLE ONLY generator.scenario_drafts
    ADD CONSTRAINT scenario_drafts_pkey PRIMARY KEY (id);


--
-- Name: seats seats_pkey; Type: CONSTRAINT; Schema: generator; Owner: postgres
--

ALTER TABLE ONLY generator.seats
    ADD CONSTRAINT seats_pkey PRIMARY KEY (tenant_id, endpoint, worker);


--
-- Name: slices slices_pkey; Type: CONSTRAINT; Schema: generator; Owner: postgres
--

ALTER TABLE ONLY generator.slices
    ADD CONSTRAINT slices_pkey PRIMARY KEY (id);


--
-- Name: tallies tallies_pkey; Type: CONSTRAINT; Schema: generator; Owner: postgres
--

ALTER TABLE ONLY generator.tallies
    ADD CONSTRAINT tallies_pkey PRIMARY KEY (run_id, shard);


--
-- Name: scenario_drafts uq_scenario_drafts_set_id_position; Type: CONSTRAINT; Schema: generator; Owner: postgres
--

ALTER TABLE ONLY generator.scenario_drafts
    ADD CONSTRAINT uq_scenario_drafts_set_id_position UNIQUE (set_id, "position");


--
-- Name: cards cards_pkey; Type: CONSTRAINT; Schema: judge; Owner: postgres
--

ALTER TABLE ONLY judge.cards
    ADD CONSTRAINT cards_pkey PRIMARY KEY (configuration, language, attack);


--
-- Name: diversity_plans diversity_plans_pkey; Type: CONSTRAINT; Schema: judge; Owner: postgres
--

ALTER TABLE ONLY judge.diversity_plans
    ADD CONSTRAINT diversity_plans_pkey PRIMARY KEY (run_id);


--
-- Name: diversity_verdicts diversity_verdicts_pkey; Type: CONSTRAINT; Schema: judge; Owner: postgres
--

ALTER TABLE ONLY judge.diversity_verdicts
    ADD CONSTRAINT diversity_verdicts_pkey PRIMARY KEY (id);


--
-- Name: exhausted exhausted_pkey; Type: CONSTRAINT; Schema: judge; Owner: postgres
--

ALTER TABLE ONLY judge.exhausted
    ADD CONSTRAINT exhausted_pkey PRIMARY KEY (run_id);


--
-- Name: expected expected_pkey; Type: CONSTRAINT; Schema: judge; Owner: postgres
--

ALTER TABLE ONLY judge.expected
    ADD CONSTRAINT expected_pkey PRIMARY KEY (run_id);


--
-- Name: pace_changes pace_changes_pkey; Type: CONSTRAINT; Schema: judge; Owner: postgres
--

ALTER TABLE ONLY judge.pace_changes
    ADD CONSTRAINT pace_changes_pkey PRIMARY KEY (id);


--
-- Name: pacing pacing_pkey; Type: CONSTRAINT; Schema: judge; Owner: postgres
--

ALTER TABLE ONLY judge.pacing
    ADD CONSTRAINT pacing_pkey PRIMARY KEY (tenant_id, endpoint);


--
-- Name: seats seats_pkey; Type: CONSTRAINT; Schema: judge; Owner: postgres
--

ALTER TABLE ONLY judge.seats
    ADD CONSTRAINT seats_pkey PRIMARY KEY (tenant_id, endpoint, worker);


--
-- Name: slices slices_pkey; Type: CONSTRAINT; Schema: judge; Owner: postgres
--

ALTER TABLE ONLY judge.slices
    ADD CONSTRAINT slices_pkey PRIMARY KEY (id);


--
-- Name: tallies tallies_pkey; Type: CONSTRAINT; Schema: judge; Owner: postgres
--

ALTER TABLE ONLY judge.tallies
    ADD CONSTRAINT tallies_pkey PRIMARY KEY (run_id, judge, shard);


--
-- Name: verdicts verdicts_pkey; Type: CONSTRAINT; Schema: judge; Owner: postgres
--

ALTER TABLE ONLY judge.verdicts
    ADD CONSTRAINT verdicts_pkey PRIMARY KEY (id);


--
-- Name: alembic_version alembic_version_pkc; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: ix_figures_run_ids; Type: INDEX; Schema: analytics; Owner: postgres
--

CREATE INDEX ix_figures_run_ids ON analytics.figures USING gin (run_ids);


--
-- Name: ix_figures_tenant_id_made_at; Type: INDEX; Schema: analytics; Owner: postgres
--

CREATE INDEX ix_figures_tenant_id_made_at ON analytics.figures USING btree (tenant_id, made_at);


--
-- Name: ix_gates_baseline_run_id; Type: INDEX; Schema: analytics; Owner: postgres
--

CREATE INDEX ix_gates_baseline_run_id ON analytics.gates USING btree (baseline_run_id);


--
-- Name: ix_gates_run_id_created_at; Type: INDEX; Schema: analytics; Owner: postgres
--

CREATE INDEX ix_gates_run_id_created_at ON analytics.gates USING btree (run_id, created_at);


--
-- Name: ix_looks_candidate; Type: INDEX; Schema: analytics; Owner: postgres
--

CREATE INDEX ix_looks_candidate ON analytics.looks USING btree (tenant_id, candidate);


--
-- Name: ix_looks_release; Type: INDEX; Schema: analytics; Owner: postgres
--

CREATE INDEX ix_looks_release ON analytics.looks USING btree (tenant_id, release);


--
-- Name: ix_ratings_human; Type: INDEX; Schema: analytics; Owner: postgres
--

CREATE INDEX ix_ratings_human ON analytics.ratings USING btree (tenant_id, run_id) WHERE (kind = 'human'::text);


--
-- Name: ix_ratings_imported_judges; Type: INDEX; Schema: analytics; Owner: postgres
--

CREATE INDEX ix_ratings_imported_judges ON analytics.ratings USING btree (run_id) WHERE ((kind = 'judge'::text) AND (import_id IS NOT NULL));


--
-- Name: ix_replies_run_id; Type: INDEX; Schema: analytics; Owner: postgres
--

CREATE INDEX ix_replies_run_id ON analytics.replies USING btree (run_id);


--
-- Name: ix_baselines_run_id; Type: INDEX; Schema: gateway; Owner: postgres
--

CREATE INDEX ix_baselines_run_id ON gateway.baselines USING btree (run_id);


--
-- Name: ix_events_run_id_id; Type: INDEX; Schema: gateway; Owner: postgres
--

CREATE INDEX ix_events_run_id_id ON gateway.events USING btree (run_id, id);


--
-- Name: ix_rejudged_runs_source_id; Type: INDEX; Schema: gateway; Owner: postgres
--

CREATE INDEX ix_rejudged_runs_source_id ON gateway.rejudged_runs USING btree (source_id);


--
-- Name: ix_runs_open; Type: INDEX; Schema: gateway; Owner: postgres
--

CREATE INDEX ix_runs_open ON gateway.runs USING btree (id) WHERE (status = ANY (ARRAY['queued'::text, 'running'::text, 'cancelling'::text]));


--
-- Name: ix_runs_tenant_id_created_at; Type: INDEX; Schema: gateway; Owner: postgres
--

CREATE INDEX ix_runs_tenant_id_created_at ON gateway.runs USING btree (tenant_id, created_at, id);


--
-- Name: ix_runs_tenant_id_request_sha256; Type: INDEX; Schema: gateway; Owner: postgres
--

CREATE INDEX ix_runs_tenant_id_request_sha256 ON gateway.runs USING btree (tenant_id, request_sha256) WHERE (request_sha256 IS NOT NULL);


--
-- Name: ix_scenario_sets_tenant_id_created_at; Type: INDEX; Schema: gateway; Owner: postgres
--

CREATE INDEX ix_scenario_sets_tenant_id_created_at ON gateway.scenario_sets USING btree (tenant_id, created_at, id);


--
-- Name: ix_shortlist_runs_run_id; Type: INDEX; Schema: gateway; Owner: postgres
--

CREATE INDEX ix_shortlist_runs_run_id ON gateway.shortlist_runs USING btree (run_id);


--
-- Name: ix_suites_tenant_id_created_at; Type: INDEX; Schema: gateway; Owner: postgres
--

CREATE INDEX ix_suites_tenant_id_created_at ON gateway.suites USING btree (tenant_id, created_at, id);


--
-- Name: ix_transcripts_tenant_id_sha256; Type: INDEX; Schema: gateway; Owner: postgres
--

CREATE INDEX ix_transcripts_tenant_id_sha256 ON gateway.transcripts USING btree (tenant_id, name, sha256);


--
-- Name: ix_dialogues_changed; Type: INDEX; Schema: generator; Owner: postgres
--

CREATE INDEX ix_dialogues_changed ON generator.dialogues USING btree (run_id, changed_in) WHERE (changed_in IS NOT NULL);


--
-- Name: ix_dialogues_failed; Type: INDEX; Schema: generator; Owner: postgres
--

CREATE INDEX ix_dialogues_failed ON generator.dialogues USING btree (run_id, finished_at) WHERE (state = 'failed'::text);


--
-- Name: ix_dialogues_open; Type: INDEX; Schema: generator; Owner: postgres
--

CREATE INDEX ix_dialogues_open ON generator.dialogues USING btree (run_id, "position") WHERE (state = ANY (ARRAY['waiting'::text, 'playing'::text]));


--
-- Name: ix_dialogues_run_id_position; Type: INDEX; Schema: generator; Owner: postgres
--

CREATE INDEX ix_dialogues_run_id_position ON generator.dialogues USING btree (run_id, "position");


--
-- Name: ix_pace_changes_endpoint_at; Type: INDEX; Schema: generator; Owner: postgres
--

CREATE INDEX ix_pace_changes_endpoint_at ON generator.pace_changes USING btree (tenant_id, endpoint, at);


--
-- Name: ix_scenario_drafts_open; Type: INDEX; Schema: generator; Owner: postgres
--

CREATE INDEX ix_scenario_drafts_open ON generator.scenario_drafts USING btree (set_id, "position") WHERE ((state = ANY (ARRAY['waiting'::text, 'writing'::text])) OR ((state = 'written'::text) AND (similarity IS NULL)));


--
-- Name: ix_slices_expires_at; Type: INDEX; Schema: generator; Owner: postgres
--

CREATE INDEX ix_slices_expires_at ON generator.slices USING btree (expires_at);


--
-- Name: ix_diversity_verdicts_changed; Type: INDEX; Schema: judge; Owner: postgres
--

CREATE INDEX ix_diversity_verdicts_changed ON judge.diversity_verdicts USING btree (run_id, changed_in) WHERE (changed_in IS NOT NULL);


--
-- Name: ix_diversity_verdicts_failed; Type: INDEX; Schema: judge; Owner: postgres
--

CREATE INDEX ix_diversity_verdicts_failed ON judge.diversity_verdicts USING btree (run_id, finished_at) WHERE (state = 'failed'::text);


--
-- Name: ix_diversity_verdicts_open; Type: INDEX; Schema: judge; Owner: postgres
--

CREATE INDEX ix_diversity_verdicts_open ON judge.diversity_verdicts USING btree (run_id, judge, id) WHERE (state = ANY (ARRAY['waiting'::text, 'rating'::text]));


--
-- Name: ix_diversity_verdicts_run_id; Type: INDEX; Schema: judge; Owner: postgres
--

CREATE INDEX ix_diversity_verdicts_run_id ON judge.diversity_verdicts USING btree (run_id, "character", batch);


--
-- Name: ix_pace_changes_endpoint_at; Type: INDEX; Schema: judge; Owner: postgres
--

CREATE INDEX ix_pace_changes_endpoint_at ON judge.pace_changes USING btree (tenant_id, endpoint, at);


--
-- Name: ix_slices_expires_at; Type: INDEX; Schema: judge; Owner: postgres
--

CREATE INDEX ix_slices_expires_at ON judge.slices USING btree (expires_at);


--
-- Name: ix_verdicts_changed; Type: INDEX; Schema: judge; Owner: postgres
--

CREATE INDEX ix_verdicts_changed ON judge.verdicts USING btree (run_id, changed_in) WHERE (changed_in IS NOT NULL);


--
-- Name: ix_verdicts_failed; Type: INDEX; Schema: judge; Owner: postgres
--

CREATE INDEX ix_verdicts_failed ON judge.verdicts USING btree (run_id, finished_at) WHERE (state = 'failed'::text);


--
-- Name: ix_verdicts_open; Type: INDEX; Schema: judge; Owner: postgres
--

CREATE INDEX ix_verdicts_open ON judge.verdicts USING btree (run_id, judge, id) WHERE (state = ANY (ARRAY['waiting'::text, 'rating'::text]));


--
-- Name: ix_verdicts_run_id; Type: INDEX; Schema: judge; Owner: postgres
--

CREATE INDEX ix_verdicts_run_id ON judge.verdicts USING btree (run_id, dialogue_id);


--
-- Name: dialogues note_change; Type: TRIGGER; Schema: generator; Owner: postgres
--

CREATE TRIGGER note_change BEFORE INSERT OR UPDATE ON generator.dialogues FOR EACH ROW WHEN ((new.state = ANY (ARRAY['done'::text, 'failed'::text, 'outdated'::text]))) EXECUTE FUNCTION generator.note_change_dialogues();


--
-- Name: dialogues tally_insert; Type: TRIGGER; Schema: generator; Owner: postgres
--

CREATE TRIGGER tally_insert AFTER INSERT ON generator.dialogues REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION generator.tally_dialogues();


--
-- Name: dialogues tally_update; Type: TRIGGER; Schema: generator; Owner: postgres
--

CREATE TRIGGER tally_update AFTER UPDATE ON generator.dialogues REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION generator.tally_dialogues();


--
-- Name: diversity_verdicts note_change; Type: TRIGGER; Schema: judge; Owner: postgres
--

CREATE TRIGGER note_change BEFORE INSERT OR UPDATE ON judge.diversity_verdicts FOR EACH ROW WHEN ((new.state = ANY (ARRAY['done'::text, 'failed'::text, 'outdated'::text]))) EXECUTE FUNCTION judge.note_change_diversity_verdicts();


--
-- Name: verdicts note_change; Type: TRIGGER; Schema: judge; Owner: postgres
--

CREATE TRIGGER note_change BEFORE INSERT OR UPDATE ON judge.verdicts FOR EACH ROW WHEN ((new.state = ANY (ARRAY['done'::text, 'failed'::text, 'outdated'::text]))) EXECUTE FUNCTION judge.note_change_verdicts();


--
-- Name: diversity_verdicts tally_insert; Type: TRIGGER; Schema: judge; Owner: postgres
--

CREATE TRIGGER tally_insert AFTER INSERT ON judge.diversity_verdicts REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION judge.tally_diversity_verdicts();


--
-- Name: verdicts tally_insert; Type: TRIGGER; Schema: judge; Owner: postgres
--

CREATE TRIGGER tally_insert AFTER INSERT ON judge.verdicts REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION judge.tally_verdicts();


--
-- Name: diversity_verdicts tally_update; Type: TRIGGER; Schema: judge; Owner: postgres
--

CREATE TRIGGER tally_update AFTER UPDATE ON judge.diversity_verdicts REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION judge.tally_diversity_verdicts();


--
-- Name: verdicts tally_update; Type: TRIGGER; Schema: judge; Owner: postgres
--

CREATE TRIGGER tally_update AFTER UPDATE ON judge.verdicts REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION judge.tally_verdicts();


--
-- Name: baselines baselines_run_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.baselines
    ADD CONSTRAINT baselines_run_id_fkey FOREIGN KEY (run_id) REFERENCES gateway.runs(id) ON DELETE RESTRICT;


--
-- Name: checks checks_run_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.checks
    ADD CONSTRAINT checks_run_id_fkey FOREIGN KEY (run_id) REFERENCES gateway.runs(id) ON DELETE CASCADE;


--
-- Name: events events_run_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.events
    ADD CONSTRAINT events_run_id_fkey FOREIGN KEY (run_id) REFERENCES gateway.runs(id) ON DELETE CASCADE;


--
-- Name: rejudged_runs rejudged_runs_copy_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.rejudged_runs
    ADD CONSTRAINT rejudged_runs_copy_id_fkey FOREIGN KEY (copy_id) REFERENCES gateway.transcripts(id);


--
-- Name: rejudged_runs rejudged_runs_run_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.rejudged_runs
    ADD CONSTRAINT rejudged_runs_run_id_fkey FOREIGN KEY (run_id) REFERENCES gateway.runs(id) ON DELETE CASCADE;


--
-- Name: rejudged_runs rejudged_runs_source_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.rejudged_runs
    ADD CONSTRAINT rejudged_runs_source_id_fkey FOREIGN KEY (source_id) REFERENCES gateway.runs(id);


--
-- Name: runs runs_frozen_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.runs
    ADD CONSTRAINT runs_frozen_id_fkey FOREIGN KEY (frozen_id) REFERENCES gateway.transcripts(id);


--
-- Name: runs runs_secret_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.runs
    ADD CONSTRAINT runs_secret_id_fkey FOREIGN KEY (secret_id) REFERENCES gateway.secrets(id);


--
-- Name: runs runs_suite_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.runs
    ADD CONSTRAINT runs_suite_id_fkey FOREIGN KEY (suite_id) REFERENCES gateway.suites(id);


--
-- Name: runs runs_transcript_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.runs
    ADD CONSTRAINT runs_transcript_id_fkey FOREIGN KEY (transcript_id) REFERENCES gateway.transcripts(id);


--
-- Name: scenario_selections scenario_selections_set_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.scenario_selections
    ADD CONSTRAINT scenario_selections_set_id_fkey FOREIGN KEY (set_id) REFERENCES gateway.scenario_sets(id);


--
-- Name: scenario_selections scenario_selections_suite_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.scenario_selections
    ADD CONSTRAINT scenario_selections_suite_id_fkey FOREIGN KEY (suite_id) REFERENCES gateway.suites(id);


--
-- Name: shortlist_runs shortlist_runs_run_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.shortlist_runs
    ADD CONSTRAINT shortlist_runs_run_id_fkey FOREIGN KEY (run_id) REFERENCES gateway.runs(id) ON DELETE CASCADE;


--
-- Name: shortlist_runs shortlist_runs_shortlist_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.shortlist_runs
    ADD CONSTRAINT shortlist_runs_shortlist_id_fkey FOREIGN KEY (shortlist_id) REFERENCES gateway.shortlists(id);


--
-- Name: transcript_dialogues transcript_dialogues_transcript_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.transcript_dialogues
    ADD CONSTRAINT transcript_dialogues_transcript_id_fkey FOREIGN KEY (transcript_id) REFERENCES gateway.transcripts(id) ON DELETE CASCADE;


--
-- Name: transcripts transcripts_suite_id_fkey; Type: FK CONSTRAINT; Schema: gateway; Owner: postgres
--

ALTER TABLE ONLY gateway.transcripts
    ADD CONSTRAINT transcripts_suite_id_fkey FOREIGN KEY (suite_id) REFERENCES gateway.suites(id);


--
-- Name: SCHEMA analytics; Type: ACL; Schema: -; Owner: postgres
--

GRANT USAGE ON SCHEMA analytics TO esrp_analytics;
GRANT USAGE ON SCHEMA analytics TO esrp_gateway;


--
-- Name: SCHEMA gateway; Type: ACL; Schema: -; Owner: postgres
--

GRANT USAGE ON SCHEMA gateway TO esrp_gateway;
GRANT USAGE ON SCHEMA gateway TO esrp_generator;
GRANT USAGE ON SCHEMA gateway TO esrp_judge;
GRANT USAGE ON SCHEMA gateway TO esrp_analytics;


--
-- Name: SCHEMA generator; Type: ACL; Schema: -; Owner: postgres
--

GRANT USAGE ON SCHEMA generator TO esrp_generator;
GRANT USAGE ON SCHEMA generator TO esrp_gateway;
GRANT USAGE ON SCHEMA generator TO esrp_judge;
GRANT USAGE ON SCHEMA generator TO esrp_analytics;


--
-- Name: SCHEMA judge; Type: ACL; Schema: -; Owner: postgres
--

GRANT USAGE ON SCHEMA judge TO esrp_judge;
GRANT USAGE ON SCHEMA judge TO esrp_gateway;
GRANT USAGE ON SCHEMA judge TO esrp_analytics;
GRANT USAGE ON SCHEMA judge TO esrp_generator;


--
-- Name: TABLE agreements; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.agreements TO esrp_analytics;


--
-- Name: COLUMN agreements.run_id; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE analytics.agreements TO esrp_analytics;
GRANT SELECT(run_id) ON TABLE analytics.agreements TO esrp_gateway;


--
-- Name: COLUMN agreements.kind; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(kind) ON TABLE analytics.agreements TO esrp_analytics;
GRANT SELECT(kind) ON TABLE analytics.agreements TO esrp_gateway;


--
-- Name: COLUMN agreements.tenant_id; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE analytics.agreements TO esrp_analytics;
GRANT SELECT(tenant_id) ON TABLE analytics.agreements TO esrp_gateway;


--
-- Name: COLUMN agreements.ratings_sha256; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(ratings_sha256) ON TABLE analytics.agreements TO esrp_analytics;
GRANT SELECT(ratings_sha256) ON TABLE analytics.agreements TO esrp_gateway;


--
-- Name: COLUMN agreements.created_at; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(created_at) ON TABLE analytics.agreements TO esrp_analytics;
GRANT SELECT(created_at) ON TABLE analytics.agreements TO esrp_gateway;


--
-- Name: TABLE agreements_v1; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT ON TABLE analytics.agreements_v1 TO esrp_analytics;
GRANT SELECT ON TABLE analytics.agreements_v1 TO esrp_gateway;


--
-- Name: TABLE counted; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.counted TO esrp_analytics;


--
-- Name: TABLE diversity_ratings; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.diversity_ratings TO esrp_analytics;


--
-- Name: TABLE figures; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.figures TO esrp_analytics;


--
-- Name: TABLE gates; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.gates TO esrp_analytics;


--
-- Name: COLUMN gates.id; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(id) ON TABLE analytics.gates TO esrp_analytics;
GRANT SELECT(id) ON TABLE analytics.gates TO esrp_gateway;


--
-- Name: COLUMN gates.tenant_id; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE analytics.gates TO esrp_analytics;
GRANT SELECT(tenant_id) ON TABLE analytics.gates TO esrp_gateway;


--
-- Name: COLUMN gates.run_id; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE analytics.gates TO esrp_analytics;
GRANT SELECT(run_id) ON TABLE analytics.gates TO esrp_gateway;


--
-- Name: COLUMN gates.revision; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(revision) ON TABLE analytics.gates TO esrp_analytics;
GRANT SELECT(revision) ON TABLE analytics.gates TO esrp_gateway;


--
-- Name: COLUMN gates.baseline_run_id; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(baseline_run_id) ON TABLE analytics.gates TO esrp_analytics;
GRANT SELECT(baseline_run_id) ON TABLE analytics.gates TO esrp_gateway;


--
-- Name: COLUMN gates.verdict; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(verdict) ON TABLE analytics.gates TO esrp_analytics;
GRANT SELECT(verdict) ON TABLE analytics.gates TO esrp_gateway;


--
-- Name: COLUMN gates.document; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(document) ON TABLE analytics.gates TO esrp_analytics;
GRANT SELECT(document) ON TABLE analytics.gates TO esrp_gateway;


--
-- Name: COLUMN gates.sentinel; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(sentinel) ON TABLE analytics.gates TO esrp_analytics;
GRANT SELECT(sentinel) ON TABLE analytics.gates TO esrp_gateway;


--
-- Name: COLUMN gates.created_at; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(created_at) ON TABLE analytics.gates TO esrp_analytics;
GRANT SELECT(created_at) ON TABLE analytics.gates TO esrp_gateway;


--
-- Name: TABLE gates_v1; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT ON TABLE analytics.gates_v1 TO esrp_analytics;
GRANT SELECT ON TABLE analytics.gates_v1 TO esrp_gateway;


--
-- Name: TABLE imports; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.imports TO esrp_analytics;


--
-- Name: TABLE judge_measures; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.judge_measures TO esrp_analytics;


--
-- Name: COLUMN judge_measures.tenant_id; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE analytics.judge_measures TO esrp_analytics;
GRANT SELECT(tenant_id) ON TABLE analytics.judge_measures TO esrp_gateway;


--
-- Name: COLUMN judge_measures.configuration; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(configuration) ON TABLE analytics.judge_measures TO esrp_analytics;
GRANT SELECT(configuration) ON TABLE analytics.judge_measures TO esrp_gateway;


--
-- Name: COLUMN judge_measures.judge; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(judge) ON TABLE analytics.judge_measures TO esrp_analytics;
GRANT SELECT(judge) ON TABLE analytics.judge_measures TO esrp_gateway;


--
-- Name: COLUMN judge_measures.document; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(document) ON TABLE analytics.judge_measures TO esrp_analytics;
GRANT SELECT(document) ON TABLE analytics.judge_measures TO esrp_gateway;


--
-- Name: COLUMN judge_measures.measured_at; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(measured_at) ON TABLE analytics.judge_measures TO esrp_analytics;
GRANT SELECT(measured_at) ON TABLE analytics.judge_measures TO esrp_gateway;


--
-- Name: TABLE judge_measures_v1; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT ON TABLE analytics.judge_measures_v1 TO esrp_analytics;
GRANT SELECT ON TABLE analytics.judge_measures_v1 TO esrp_gateway;


--
-- Name: TABLE looks; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.looks TO esrp_analytics;


--
-- Name: TABLE packed; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.packed TO esrp_analytics;


--
-- Name: TABLE rated; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.rated TO esrp_analytics;


--
-- Name: TABLE ratings; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.ratings TO esrp_analytics;


--
-- Name: COLUMN ratings.tenant_id; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE analytics.ratings TO esrp_analytics;
GRANT SELECT(tenant_id) ON TABLE analytics.ratings TO esrp_gateway;


--
-- Name: COLUMN ratings.run_id; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE analytics.ratings TO esrp_analytics;
GRANT SELECT(run_id) ON TABLE analytics.ratings TO esrp_gateway;


--
-- Name: COLUMN ratings.dialogue_id; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(dialogue_id) ON TABLE analytics.ratings TO esrp_analytics;
GRANT SELECT(dialogue_id) ON TABLE analytics.ratings TO esrp_gateway;


--
-- Name: COLUMN ratings."character"; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT("character") ON TABLE analytics.ratings TO esrp_analytics;
GRANT SELECT("character") ON TABLE analytics.ratings TO esrp_gateway;


--
-- Name: COLUMN ratings.scenario; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(scenario) ON TABLE analytics.ratings TO esrp_analytics;
GRANT SELECT(scenario) ON TABLE analytics.ratings TO esrp_gateway;


--
-- Name: COLUMN ratings.replicate; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(replicate) ON TABLE analytics.ratings TO esrp_analytics;
GRANT SELECT(replicate) ON TABLE analytics.ratings TO esrp_gateway;


--
-- Name: COLUMN ratings.metric; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(metric) ON TABLE analytics.ratings TO esrp_analytics;
GRANT SELECT(metric) ON TABLE analytics.ratings TO esrp_gateway;


--
-- Name: COLUMN ratings.rater; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(rater) ON TABLE analytics.ratings TO esrp_analytics;
GRANT SELECT(rater) ON TABLE analytics.ratings TO esrp_gateway;


--
-- Name: COLUMN ratings.kind; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(kind) ON TABLE analytics.ratings TO esrp_analytics;
GRANT SELECT(kind) ON TABLE analytics.ratings TO esrp_gateway;


--
-- Name: COLUMN ratings.score; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(score) ON TABLE analytics.ratings TO esrp_analytics;
GRANT SELECT(score) ON TABLE analytics.ratings TO esrp_gateway;


--
-- Name: COLUMN ratings.explanation; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(explanation) ON TABLE analytics.ratings TO esrp_analytics;
GRANT SELECT(explanation) ON TABLE analytics.ratings TO esrp_gateway;


--
-- Name: COLUMN ratings.created_at; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(created_at) ON TABLE analytics.ratings TO esrp_analytics;
GRANT SELECT(created_at) ON TABLE analytics.ratings TO esrp_gateway;


--
-- Name: TABLE ratings_v1; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT ON TABLE analytics.ratings_v1 TO esrp_analytics;
GRANT SELECT ON TABLE analytics.ratings_v1 TO esrp_gateway;


--
-- Name: TABLE replies; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.replies TO esrp_analytics;


--
-- Name: TABLE reports; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.reports TO esrp_analytics;


--
-- Name: COLUMN reports.run_id; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE analytics.reports TO esrp_analytics;
GRANT SELECT(run_id) ON TABLE analytics.reports TO esrp_gateway;


--
-- Name: COLUMN reports.tenant_id; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE analytics.reports TO esrp_analytics;
GRANT SELECT(tenant_id) ON TABLE analytics.reports TO esrp_gateway;


--
-- Name: COLUMN reports.revision; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(revision) ON TABLE analytics.reports TO esrp_analytics;
GRANT SELECT(revision) ON TABLE analytics.reports TO esrp_gateway;


--
-- Name: COLUMN reports.sha256; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(sha256) ON TABLE analytics.reports TO esrp_analytics;
GRANT SELECT(sha256) ON TABLE analytics.reports TO esrp_gateway;


--
-- Name: COLUMN reports.created_at; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(created_at) ON TABLE analytics.reports TO esrp_analytics;
GRANT SELECT(created_at) ON TABLE analytics.reports TO esrp_gateway;


--
-- Name: TABLE reports_v1; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT ON TABLE analytics.reports_v1 TO esrp_analytics;
GRANT SELECT ON TABLE analytics.reports_v1 TO esrp_gateway;


--
-- Name: TABLE spreads; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.spreads TO esrp_analytics;


--
-- Name: COLUMN spreads.tenant_id; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE analytics.spreads TO esrp_analytics;
GRANT SELECT(tenant_id) ON TABLE analytics.spreads TO esrp_gateway;


--
-- Name: COLUMN spreads.suite_id; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(suite_id) ON TABLE analytics.spreads TO esrp_analytics;
GRANT SELECT(suite_id) ON TABLE analytics.spreads TO esrp_gateway;


--
-- Name: COLUMN spreads.judges; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(judges) ON TABLE analytics.spreads TO esrp_analytics;
GRANT SELECT(judges) ON TABLE analytics.spreads TO esrp_gateway;


--
-- Name: COLUMN spreads.document; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT(document) ON TABLE analytics.spreads TO esrp_analytics;
GRANT SELECT(document) ON TABLE analytics.spreads TO esrp_gateway;


--
-- Name: TABLE spreads_v1; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT ON TABLE analytics.spreads_v1 TO esrp_analytics;
GRANT SELECT ON TABLE analytics.spreads_v1 TO esrp_gateway;


--
-- Name: TABLE taken; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.taken TO esrp_analytics;


--
-- Name: TABLE unmeasured; Type: ACL; Schema: analytics; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.unmeasured TO esrp_analytics;


--
-- Name: TABLE api_keys; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.api_keys TO esrp_gateway;


--
-- Name: TABLE baselines; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.baselines TO esrp_gateway;


--
-- Name: TABLE checks; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.checks TO esrp_gateway;


--
-- Name: COLUMN checks.run_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE gateway.checks TO esrp_gateway;
GRANT SELECT(run_id) ON TABLE gateway.checks TO esrp_analytics;


--
-- Name: COLUMN checks.tenant_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE gateway.checks TO esrp_gateway;
GRANT SELECT(tenant_id) ON TABLE gateway.checks TO esrp_analytics;


--
-- Name: COLUMN checks.name; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(name) ON TABLE gateway.checks TO esrp_gateway;
GRANT SELECT(name) ON TABLE gateway.checks TO esrp_analytics;


--
-- Name: COLUMN checks.outcome; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(outcome) ON TABLE gateway.checks TO esrp_gateway;
GRANT SELECT(outcome) ON TABLE gateway.checks TO esrp_analytics;


--
-- Name: COLUMN checks.url; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(url) ON TABLE gateway.checks TO esrp_gateway;
GRANT SELECT(url) ON TABLE gateway.checks TO esrp_analytics;


--
-- Name: COLUMN checks.at; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(at) ON TABLE gateway.checks TO esrp_gateway;
GRANT SELECT(at) ON TABLE gateway.checks TO esrp_analytics;


--
-- Name: TABLE checks_v1; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT ON TABLE gateway.checks_v1 TO esrp_gateway;
GRANT SELECT ON TABLE gateway.checks_v1 TO esrp_analytics;


--
-- Name: TABLE deletions; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.deletions TO esrp_gateway;


--
-- Name: COLUMN deletions.run_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE gateway.deletions TO esrp_gateway;
GRANT SELECT(run_id) ON TABLE gateway.deletions TO esrp_generator;
GRANT SELECT(run_id) ON TABLE gateway.deletions TO esrp_judge;
GRANT SELECT(run_id) ON TABLE gateway.deletions TO esrp_analytics;


--
-- Name: COLUMN deletions.tenant_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE gateway.deletions TO esrp_gateway;
GRANT SELECT(tenant_id) ON TABLE gateway.deletions TO esrp_generator;
GRANT SELECT(tenant_id) ON TABLE gateway.deletions TO esrp_judge;
GRANT SELECT(tenant_id) ON TABLE gateway.deletions TO esrp_analytics;


--
-- Name: COLUMN deletions.created_at; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(created_at) ON TABLE gateway.deletions TO esrp_gateway;
GRANT SELECT(created_at) ON TABLE gateway.deletions TO esrp_generator;
GRANT SELECT(created_at) ON TABLE gateway.deletions TO esrp_judge;
GRANT SELECT(created_at) ON TABLE gateway.deletions TO esrp_analytics;


--
-- Name: TABLE deletions_v1; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT ON TABLE gateway.deletions_v1 TO esrp_gateway;
GRANT SELECT ON TABLE gateway.deletions_v1 TO esrp_generator;
GRANT SELECT ON TABLE gateway.deletions_v1 TO esrp_judge;
GRANT SELECT ON TABLE gateway.deletions_v1 TO esrp_analytics;


--
-- Name: TABLE events; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.events TO esrp_gateway;


--
-- Name: TABLE gates; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.gates TO esrp_gateway;


--
-- Name: TABLE idempotency_keys; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.idempotency_keys TO esrp_gateway;


--
-- Name: TABLE rejudged_runs; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.rejudged_runs TO esrp_gateway;


--
-- Name: COLUMN rejudged_runs.run_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE gateway.rejudged_runs TO esrp_gateway;
GRANT SELECT(run_id) ON TABLE gateway.rejudged_runs TO esrp_analytics;


--
-- Name: COLUMN rejudged_runs.tenant_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE gateway.rejudged_runs TO esrp_gateway;
GRANT SELECT(tenant_id) ON TABLE gateway.rejudged_runs TO esrp_analytics;


--
-- Name: COLUMN rejudged_runs.source_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(source_id) ON TABLE gateway.rejudged_runs TO esrp_gateway;
GRANT SELECT(source_id) ON TABLE gateway.rejudged_runs TO esrp_analytics;


--
-- Name: TABLE rejudged_runs_v1; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT ON TABLE gateway.rejudged_runs_v1 TO esrp_gateway;
GRANT SELECT ON TABLE gateway.rejudged_runs_v1 TO esrp_analytics;


--
-- Name: TABLE runs; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.runs TO esrp_gateway;


--
-- Name: COLUMN runs.id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(id) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(id) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(id) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(id) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.tenant_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(tenant_id) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(tenant_id) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(tenant_id) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.name; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(name) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(name) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(name) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(name) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.suite_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(suite_id) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(suite_id) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(suite_id) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(suite_id) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.suite_label; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(suite_label) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(suite_label) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(suite_label) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(suite_label) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.candidate; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(candidate) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(candidate) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(candidate) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(candidate) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.candidate_name; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(candidate_name) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(candidate_name) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(candidate_name) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(candidate_name) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.secret_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(secret_id) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(secret_id) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(secret_id) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(secret_id) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.transcript_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(transcript_id) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(transcript_id) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(transcript_id) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(transcript_id) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.simulator; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(simulator) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(simulator) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(simulator) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(simulator) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.judges; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(judges) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(judges) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(judges) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(judges) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.rounds; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(rounds) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(rounds) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(rounds) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(rounds) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.replicates; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(replicates) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(replicates) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(replicates) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(replicates) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.sample; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(sample) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(sample) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(sample) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(sample) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.labels; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(labels) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(labels) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(labels) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(labels) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.plan; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(plan) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(plan) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(plan) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(plan) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.manifest; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(manifest) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(manifest) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(manifest) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(manifest) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.manifest_sha256; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(manifest_sha256) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(manifest_sha256) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(manifest_sha256) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(manifest_sha256) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.status; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(status) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(status) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(status) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(status) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.phase; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(phase) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(phase) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(phase) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(phase) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.revision; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(revision) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(revision) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(revision) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(revision) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.created_at; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(created_at) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(created_at) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(created_at) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(created_at) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.budget; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(budget) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(budget) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(budget) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(budget) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.prices; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(prices) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(prices) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(prices) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(prices) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.retry_at; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(retry_at) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(retry_at) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(retry_at) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(retry_at) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: COLUMN runs.frozen_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(frozen_id) ON TABLE gateway.runs TO esrp_gateway;
GRANT SELECT(frozen_id) ON TABLE gateway.runs TO esrp_generator;
GRANT SELECT(frozen_id) ON TABLE gateway.runs TO esrp_judge;
GRANT SELECT(frozen_id) ON TABLE gateway.runs TO esrp_analytics;


--
-- Name: TABLE runs_v1; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT ON TABLE gateway.runs_v1 TO esrp_gateway;
GRANT SELECT ON TABLE gateway.runs_v1 TO esrp_generator;
GRANT SELECT ON TABLE gateway.runs_v1 TO esrp_judge;
GRANT SELECT ON TABLE gateway.runs_v1 TO esrp_analytics;


--
-- Name: TABLE scenario_selections; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.scenario_selections TO esrp_gateway;


--
-- Name: TABLE scenario_sets; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.scenario_sets TO esrp_gateway;


--
-- Name: COLUMN scenario_sets.id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(id) ON TABLE gateway.scenario_sets TO esrp_gateway;
GRANT SELECT(id) ON TABLE gateway.scenario_sets TO esrp_generator;


--
-- Name: COLUMN scenario_sets.tenant_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE gateway.scenario_sets TO esrp_gateway;
GRANT SELECT(tenant_id) ON TABLE gateway.scenario_sets TO esrp_generator;


--
-- Name: COLUMN scenario_sets.language; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(language) ON TABLE gateway.scenario_sets TO esrp_gateway;
GRANT SELECT(language) ON TABLE gateway.scenario_sets TO esrp_generator;


--
-- Name: COLUMN scenario_sets.grid; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(grid) ON TABLE gateway.scenario_sets TO esrp_gateway;
GRANT SELECT(grid) ON TABLE gateway.scenario_sets TO esrp_generator;


--
-- Name: COLUMN scenario_sets.created_at; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(created_at) ON TABLE gateway.scenario_sets TO esrp_gateway;
GRANT SELECT(created_at) ON TABLE gateway.scenario_sets TO esrp_generator;


--
-- Name: TABLE scenario_sets_v1; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT ON TABLE gateway.scenario_sets_v1 TO esrp_gateway;
GRANT SELECT ON TABLE gateway.scenario_sets_v1 TO esrp_generator;


--
-- Name: TABLE secrets; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.secrets TO esrp_gateway;


--
-- Name: COLUMN secrets.id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(id) ON TABLE gateway.secrets TO esrp_gateway;
GRANT SELECT(id) ON TABLE gateway.secrets TO esrp_generator;


--
-- Name: COLUMN secrets.tenant_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE gateway.secrets TO esrp_gateway;
GRANT SELECT(tenant_id) ON TABLE gateway.secrets TO esrp_generator;


--
-- Name: COLUMN secrets.sealed; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(sealed) ON TABLE gateway.secrets TO esrp_gateway;
GRANT SELECT(sealed) ON TABLE gateway.secrets TO esrp_generator;


--
-- Name: TABLE secrets_v1; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT ON TABLE gateway.secrets_v1 TO esrp_gateway;
GRANT SELECT ON TABLE gateway.secrets_v1 TO esrp_generator;


--
-- Name: TABLE shortlist_runs; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.shortlist_runs TO esrp_gateway;


--
-- Name: TABLE shortlists; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.shortlists TO esrp_gateway;


--
-- Name: TABLE suites; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.suites TO esrp_gateway;


--
-- Name: COLUMN suites.id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(id) ON TABLE gateway.suites TO esrp_gateway;
GRANT SELECT(id) ON TABLE gateway.suites TO esrp_generator;
GRANT SELECT(id) ON TABLE gateway.suites TO esrp_judge;
GRANT SELECT(id) ON TABLE gateway.suites TO esrp_analytics;


--
-- Name: COLUMN suites.tenant_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE gateway.suites TO esrp_gateway;
GRANT SELECT(tenant_id) ON TABLE gateway.suites TO esrp_generator;
GRANT SELECT(tenant_id) ON TABLE gateway.suites TO esrp_judge;
GRANT SELECT(tenant_id) ON TABLE gateway.suites TO esrp_analytics;


--
-- Name: COLUMN suites.name; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(name) ON TABLE gateway.suites TO esrp_gateway;
GRANT SELECT(name) ON TABLE gateway.suites TO esrp_generator;
GRANT SELECT(name) ON TABLE gateway.suites TO esrp_judge;
GRANT SELECT(name) ON TABLE gateway.suites TO esrp_analytics;


--
-- Name: COLUMN suites.version; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(version) ON TABLE gateway.suites TO esrp_gateway;
GRANT SELECT(version) ON TABLE gateway.suites TO esrp_generator;
GRANT SELECT(version) ON TABLE gateway.suites TO esrp_judge;
GRANT SELECT(version) ON TABLE gateway.suites TO esrp_analytics;


--
-- Name: COLUMN suites.sha256; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(sha256) ON TABLE gateway.suites TO esrp_gateway;
GRANT SELECT(sha256) ON TABLE gateway.suites TO esrp_generator;
GRANT SELECT(sha256) ON TABLE gateway.suites TO esrp_judge;
GRANT SELECT(sha256) ON TABLE gateway.suites TO esrp_analytics;


--
-- Name: COLUMN suites.language; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(language) ON TABLE gateway.suites TO esrp_gateway;
GRANT SELECT(language) ON TABLE gateway.suites TO esrp_generator;
GRANT SELECT(language) ON TABLE gateway.suites TO esrp_judge;
GRANT SELECT(language) ON TABLE gateway.suites TO esrp_analytics;


--
-- Name: COLUMN suites.document; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(document) ON TABLE gateway.suites TO esrp_gateway;
GRANT SELECT(document) ON TABLE gateway.suites TO esrp_generator;
GRANT SELECT(document) ON TABLE gateway.suites TO esrp_judge;
GRANT SELECT(document) ON TABLE gateway.suites TO esrp_analytics;


--
-- Name: TABLE suites_v1; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT ON TABLE gateway.suites_v1 TO esrp_gateway;
GRANT SELECT ON TABLE gateway.suites_v1 TO esrp_generator;
GRANT SELECT ON TABLE gateway.suites_v1 TO esrp_judge;
GRANT SELECT ON TABLE gateway.suites_v1 TO esrp_analytics;


--
-- Name: TABLE tenants; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.tenants TO esrp_gateway;


--
-- Name: TABLE transcript_dialogues; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.transcript_dialogues TO esrp_gateway;


--
-- Name: COLUMN transcript_dialogues.tenant_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE gateway.transcript_dialogues TO esrp_gateway;
GRANT SELECT(tenant_id) ON TABLE gateway.transcript_dialogues TO esrp_generator;


--
-- Name: COLUMN transcript_dialogues.transcript_id; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(transcript_id) ON TABLE gateway.transcript_dialogues TO esrp_gateway;
GRANT SELECT(transcript_id) ON TABLE gateway.transcript_dialogues TO esrp_generator;


--
-- Name: COLUMN transcript_dialogues."position"; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT("position") ON TABLE gateway.transcript_dialogues TO esrp_gateway;
GRANT SELECT("position") ON TABLE gateway.transcript_dialogues TO esrp_generator;


--
-- Name: COLUMN transcript_dialogues."character"; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT("character") ON TABLE gateway.transcript_dialogues TO esrp_gateway;
GRANT SELECT("character") ON TABLE gateway.transcript_dialogues TO esrp_generator;


--
-- Name: COLUMN transcript_dialogues.scenario; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(scenario) ON TABLE gateway.transcript_dialogues TO esrp_gateway;
GRANT SELECT(scenario) ON TABLE gateway.transcript_dialogues TO esrp_generator;


--
-- Name: COLUMN transcript_dialogues.replicate; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(replicate) ON TABLE gateway.transcript_dialogues TO esrp_gateway;
GRANT SELECT(replicate) ON TABLE gateway.transcript_dialogues TO esrp_generator;


--
-- Name: COLUMN transcript_dialogues.turns; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT(turns) ON TABLE gateway.transcript_dialogues TO esrp_gateway;
GRANT SELECT(turns) ON TABLE gateway.transcript_dialogues TO esrp_generator;


--
-- Name: TABLE transcript_dialogues_v1; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT ON TABLE gateway.transcript_dialogues_v1 TO esrp_gateway;
GRANT SELECT ON TABLE gateway.transcript_dialogues_v1 TO esrp_generator;


--
-- Name: TABLE transcripts; Type: ACL; Schema: gateway; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE gateway.transcripts TO esrp_gateway;


--
-- Name: TABLE dialogues; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE generator.dialogues TO esrp_generator;


--
-- Name: COLUMN dialogues.id; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(id) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(id) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(id) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(id) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.tenant_id; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(tenant_id) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(tenant_id) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(tenant_id) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.run_id; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(run_id) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(run_id) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(run_id) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues."position"; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT("position") ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT("position") ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT("position") ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT("position") ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues."character"; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT("character") ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT("character") ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT("character") ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT("character") ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.scenario; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(scenario) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(scenario) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(scenario) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(scenario) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.replicate; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(replicate) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(replicate) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(replicate) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(replicate) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.state; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(state) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(state) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(state) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(state) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.turns; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(turns) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(turns) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(turns) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(turns) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.error; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(error) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(error) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(error) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(error) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.candidate_calls; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(candidate_calls) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(candidate_calls) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(candidate_calls) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(candidate_calls) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.candidate_prompt_tokens; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(candidate_prompt_tokens) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(candidate_prompt_tokens) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(candidate_prompt_tokens) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(candidate_prompt_tokens) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.candidate_completion_tokens; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(candidate_completion_tokens) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(candidate_completion_tokens) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(candidate_completion_tokens) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(candidate_completion_tokens) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.simulator_calls; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(simulator_calls) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(simulator_calls) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(simulator_calls) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(simulator_calls) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.simulator_prompt_tokens; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(simulator_prompt_tokens) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(simulator_prompt_tokens) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(simulator_prompt_tokens) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(simulator_prompt_tokens) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.simulator_completion_tokens; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(simulator_completion_tokens) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(simulator_completion_tokens) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(simulator_completion_tokens) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(simulator_completion_tokens) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.finished_at; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(finished_at) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(finished_at) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(finished_at) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(finished_at) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.attempts; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(attempts) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(attempts) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(attempts) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(attempts) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.cut_replies; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(cut_replies) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(cut_replies) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(cut_replies) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(cut_replies) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: COLUMN dialogues.changed_in; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(changed_in) ON TABLE generator.dialogues TO esrp_generator;
GRANT SELECT(changed_in) ON TABLE generator.dialogues TO esrp_gateway;
GRANT SELECT(changed_in) ON TABLE generator.dialogues TO esrp_judge;
GRANT SELECT(changed_in) ON TABLE generator.dialogues TO esrp_analytics;


--
-- Name: TABLE dialogues_v1; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT ON TABLE generator.dialogues_v1 TO esrp_generator;
GRANT SELECT ON TABLE generator.dialogues_v1 TO esrp_gateway;
GRANT SELECT ON TABLE generator.dialogues_v1 TO esrp_judge;
GRANT SELECT ON TABLE generator.dialogues_v1 TO esrp_analytics;


--
-- Name: TABLE exhausted; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE generator.exhausted TO esrp_generator;


--
-- Name: COLUMN exhausted.run_id; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE generator.exhausted TO esrp_generator;
GRANT SELECT(run_id) ON TABLE generator.exhausted TO esrp_judge;
GRANT SELECT(run_id) ON TABLE generator.exhausted TO esrp_gateway;


--
-- Name: COLUMN exhausted.tenant_id; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE generator.exhausted TO esrp_generator;
GRANT SELECT(tenant_id) ON TABLE generator.exhausted TO esrp_judge;
GRANT SELECT(tenant_id) ON TABLE generator.exhausted TO esrp_gateway;


--
-- Name: COLUMN exhausted.revision; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(revision) ON TABLE generator.exhausted TO esrp_generator;
GRANT SELECT(revision) ON TABLE generator.exhausted TO esrp_judge;
GRANT SELECT(revision) ON TABLE generator.exhausted TO esrp_gateway;


--
-- Name: TABLE exhausted_v1; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT ON TABLE generator.exhausted_v1 TO esrp_generator;
GRANT SELECT ON TABLE generator.exhausted_v1 TO esrp_judge;
GRANT SELECT ON TABLE generator.exhausted_v1 TO esrp_gateway;


--
-- Name: TABLE pace_changes; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE generator.pace_changes TO esrp_generator;


--
-- Name: COLUMN pace_changes.id; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(id) ON TABLE generator.pace_changes TO esrp_generator;
GRANT SELECT(id) ON TABLE generator.pace_changes TO esrp_gateway;


--
-- Name: COLUMN pace_changes.tenant_id; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE generator.pace_changes TO esrp_generator;
GRANT SELECT(tenant_id) ON TABLE generator.pace_changes TO esrp_gateway;


--
-- Name: COLUMN pace_changes.endpoint; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(endpoint) ON TABLE generator.pace_changes TO esrp_generator;
GRANT SELECT(endpoint) ON TABLE generator.pace_changes TO esrp_gateway;


--
-- Name: COLUMN pace_changes."limit"; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT("limit") ON TABLE generator.pace_changes TO esrp_generator;
GRANT SELECT("limit") ON TABLE generator.pace_changes TO esrp_gateway;


--
-- Name: COLUMN pace_changes.cause; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(cause) ON TABLE generator.pace_changes TO esrp_generator;
GRANT SELECT(cause) ON TABLE generator.pace_changes TO esrp_gateway;


--
-- Name: COLUMN pace_changes.at; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(at) ON TABLE generator.pace_changes TO esrp_generator;
GRANT SELECT(at) ON TABLE generator.pace_changes TO esrp_gateway;


--
-- Name: TABLE pace_changes_v1; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT ON TABLE generator.pace_changes_v1 TO esrp_generator;
GRANT SELECT ON TABLE generator.pace_changes_v1 TO esrp_gateway;


--
-- Name: TABLE pacing; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE generator.pacing TO esrp_generator;


--
-- Name: TABLE scenario_drafts; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE generator.scenario_drafts TO esrp_generator;


--
-- Name: COLUMN scenario_drafts.id; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(id) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(id) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.tenant_id; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(tenant_id) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.set_id; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(set_id) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(set_id) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts."position"; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT("position") ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT("position") ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.persona; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(persona) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(persona) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.emotion; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(emotion) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(emotion) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.location; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(location) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(location) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.number; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(number) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(number) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.state; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(state) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(state) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.event; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(event) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(event) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.question; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(question) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(question) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.writer; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(writer) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(writer) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.attempts; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(attempts) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(attempts) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.raw; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(raw) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(raw) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.error; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(error) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(error) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.near_duplicate_of; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(near_duplicate_of) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(near_duplicate_of) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.similarity; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(similarity) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(similarity) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.calls; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(calls) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(calls) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.prompt_tokens; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(prompt_tokens) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(prompt_tokens) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.completion_tokens; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(completion_tokens) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(completion_tokens) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: COLUMN scenario_drafts.finished_at; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(finished_at) ON TABLE generator.scenario_drafts TO esrp_generator;
GRANT SELECT(finished_at) ON TABLE generator.scenario_drafts TO esrp_gateway;


--
-- Name: TABLE scenario_drafts_v1; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT ON TABLE generator.scenario_drafts_v1 TO esrp_generator;
GRANT SELECT ON TABLE generator.scenario_drafts_v1 TO esrp_gateway;


--
-- Name: TABLE seats; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE generator.seats TO esrp_generator;


--
-- Name: TABLE slices; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE generator.slices TO esrp_generator;


--
-- Name: COLUMN slices.id; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(id) ON TABLE generator.slices TO esrp_generator;
GRANT SELECT(id) ON TABLE generator.slices TO esrp_judge;
GRANT SELECT(id) ON TABLE generator.slices TO esrp_gateway;


--
-- Name: COLUMN slices.run_id; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE generator.slices TO esrp_generator;
GRANT SELECT(run_id) ON TABLE generator.slices TO esrp_judge;
GRANT SELECT(run_id) ON TABLE generator.slices TO esrp_gateway;


--
-- Name: COLUMN slices.expires_at; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(expires_at) ON TABLE generator.slices TO esrp_generator;
GRANT SELECT(expires_at) ON TABLE generator.slices TO esrp_judge;
GRANT SELECT(expires_at) ON TABLE generator.slices TO esrp_gateway;


--
-- Name: COLUMN slices.reserved_calls; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(reserved_calls) ON TABLE generator.slices TO esrp_generator;
GRANT SELECT(reserved_calls) ON TABLE generator.slices TO esrp_judge;
GRANT SELECT(reserved_calls) ON TABLE generator.slices TO esrp_gateway;


--
-- Name: COLUMN slices.reserved_tokens; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(reserved_tokens) ON TABLE generator.slices TO esrp_generator;
GRANT SELECT(reserved_tokens) ON TABLE generator.slices TO esrp_judge;
GRANT SELECT(reserved_tokens) ON TABLE generator.slices TO esrp_gateway;


--
-- Name: COLUMN slices.reserved_cost; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(reserved_cost) ON TABLE generator.slices TO esrp_generator;
GRANT SELECT(reserved_cost) ON TABLE generator.slices TO esrp_judge;
GRANT SELECT(reserved_cost) ON TABLE generator.slices TO esrp_gateway;


--
-- Name: TABLE slices_v1; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT ON TABLE generator.slices_v1 TO esrp_generator;
GRANT SELECT ON TABLE generator.slices_v1 TO esrp_judge;
GRANT SELECT ON TABLE generator.slices_v1 TO esrp_gateway;


--
-- Name: TABLE tallies; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE generator.tallies TO esrp_generator;


--
-- Name: COLUMN tallies.run_id; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE generator.tallies TO esrp_generator;
GRANT SELECT(run_id) ON TABLE generator.tallies TO esrp_gateway;
GRANT SELECT(run_id) ON TABLE generator.tallies TO esrp_judge;
GRANT SELECT(run_id) ON TABLE generator.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.tenant_id; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE generator.tallies TO esrp_generator;
GRANT SELECT(tenant_id) ON TABLE generator.tallies TO esrp_gateway;
GRANT SELECT(tenant_id) ON TABLE generator.tallies TO esrp_judge;
GRANT SELECT(tenant_id) ON TABLE generator.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.written; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(written) ON TABLE generator.tallies TO esrp_generator;
GRANT SELECT(written) ON TABLE generator.tallies TO esrp_gateway;
GRANT SELECT(written) ON TABLE generator.tallies TO esrp_judge;
GRANT SELECT(written) ON TABLE generator.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.done; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(done) ON TABLE generator.tallies TO esrp_generator;
GRANT SELECT(done) ON TABLE generator.tallies TO esrp_gateway;
GRANT SELECT(done) ON TABLE generator.tallies TO esrp_judge;
GRANT SELECT(done) ON TABLE generator.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.failed; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(failed) ON TABLE generator.tallies TO esrp_generator;
GRANT SELECT(failed) ON TABLE generator.tallies TO esrp_gateway;
GRANT SELECT(failed) ON TABLE generator.tallies TO esrp_judge;
GRANT SELECT(failed) ON TABLE generator.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.cut_replies; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(cut_replies) ON TABLE generator.tallies TO esrp_generator;
GRANT SELECT(cut_replies) ON TABLE generator.tallies TO esrp_gateway;
GRANT SELECT(cut_replies) ON TABLE generator.tallies TO esrp_judge;
GRANT SELECT(cut_replies) ON TABLE generator.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.candidate_calls; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(candidate_calls) ON TABLE generator.tallies TO esrp_generator;
GRANT SELECT(candidate_calls) ON TABLE generator.tallies TO esrp_gateway;
GRANT SELECT(candidate_calls) ON TABLE generator.tallies TO esrp_judge;
GRANT SELECT(candidate_calls) ON TABLE generator.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.candidate_prompt_tokens; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(candidate_prompt_tokens) ON TABLE generator.tallies TO esrp_generator;
GRANT SELECT(candidate_prompt_tokens) ON TABLE generator.tallies TO esrp_gateway;
GRANT SELECT(candidate_prompt_tokens) ON TABLE generator.tallies TO esrp_judge;
GRANT SELECT(candidate_prompt_tokens) ON TABLE generator.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.candidate_completion_tokens; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(candidate_completion_tokens) ON TABLE generator.tallies TO esrp_generator;
GRANT SELECT(candidate_completion_tokens) ON TABLE generator.tallies TO esrp_gateway;
GRANT SELECT(candidate_completion_tokens) ON TABLE generator.tallies TO esrp_judge;
GRANT SELECT(candidate_completion_tokens) ON TABLE generator.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.simulator_calls; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(simulator_calls) ON TABLE generator.tallies TO esrp_generator;
GRANT SELECT(simulator_calls) ON TABLE generator.tallies TO esrp_gateway;
GRANT SELECT(simulator_calls) ON TABLE generator.tallies TO esrp_judge;
GRANT SELECT(simulator_calls) ON TABLE generator.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.simulator_prompt_tokens; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(simulator_prompt_tokens) ON TABLE generator.tallies TO esrp_generator;
GRANT SELECT(simulator_prompt_tokens) ON TABLE generator.tallies TO esrp_gateway;
GRANT SELECT(simulator_prompt_tokens) ON TABLE generator.tallies TO esrp_judge;
GRANT SELECT(simulator_prompt_tokens) ON TABLE generator.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.simulator_completion_tokens; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT(simulator_completion_tokens) ON TABLE generator.tallies TO esrp_generator;
GRANT SELECT(simulator_completion_tokens) ON TABLE generator.tallies TO esrp_gateway;
GRANT SELECT(simulator_completion_tokens) ON TABLE generator.tallies TO esrp_judge;
GRANT SELECT(simulator_completion_tokens) ON TABLE generator.tallies TO esrp_analytics;


--
-- Name: TABLE tallies_v1; Type: ACL; Schema: generator; Owner: postgres
--

GRANT SELECT ON TABLE generator.tallies_v1 TO esrp_generator;
GRANT SELECT ON TABLE generator.tallies_v1 TO esrp_gateway;
GRANT SELECT ON TABLE generator.tallies_v1 TO esrp_judge;
GRANT SELECT ON TABLE generator.tallies_v1 TO esrp_analytics;


--
-- Name: TABLE cards; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE judge.cards TO esrp_judge;


--
-- Name: COLUMN cards.configuration; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(configuration) ON TABLE judge.cards TO esrp_judge;
GRANT SELECT(configuration) ON TABLE judge.cards TO esrp_gateway;
GRANT SELECT(configuration) ON TABLE judge.cards TO esrp_analytics;


--
-- Name: COLUMN cards.language; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(language) ON TABLE judge.cards TO esrp_judge;
GRANT SELECT(language) ON TABLE judge.cards TO esrp_gateway;
GRANT SELECT(language) ON TABLE judge.cards TO esrp_analytics;


--
-- Name: COLUMN cards.attack; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(attack) ON TABLE judge.cards TO esrp_judge;
GRANT SELECT(attack) ON TABLE judge.cards TO esrp_gateway;
GRANT SELECT(attack) ON TABLE judge.cards TO esrp_analytics;


--
-- Name: COLUMN cards.judge; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(judge) ON TABLE judge.cards TO esrp_judge;
GRANT SELECT(judge) ON TABLE judge.cards TO esrp_gateway;
GRANT SELECT(judge) ON TABLE judge.cards TO esrp_analytics;


--
-- Name: COLUMN cards.battery; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(battery) ON TABLE judge.cards TO esrp_judge;
GRANT SELECT(battery) ON TABLE judge.cards TO esrp_gateway;
GRANT SELECT(battery) ON TABLE judge.cards TO esrp_analytics;


--
-- Name: COLUMN cards.document; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(document) ON TABLE judge.cards TO esrp_judge;
GRANT SELECT(document) ON TABLE judge.cards TO esrp_gateway;
GRANT SELECT(document) ON TABLE judge.cards TO esrp_analytics;


--
-- Name: COLUMN cards.measured_at; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(measured_at) ON TABLE judge.cards TO esrp_judge;
GRANT SELECT(measured_at) ON TABLE judge.cards TO esrp_gateway;
GRANT SELECT(measured_at) ON TABLE judge.cards TO esrp_analytics;


--
-- Name: TABLE cards_v1; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT ON TABLE judge.cards_v1 TO esrp_judge;
GRANT SELECT ON TABLE judge.cards_v1 TO esrp_gateway;
GRANT SELECT ON TABLE judge.cards_v1 TO esrp_analytics;


--
-- Name: TABLE diversity_plans; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE judge.diversity_plans TO esrp_judge;


--
-- Name: COLUMN diversity_plans.run_id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE judge.diversity_plans TO esrp_judge;
GRANT SELECT(run_id) ON TABLE judge.diversity_plans TO esrp_gateway;
GRANT SELECT(run_id) ON TABLE judge.diversity_plans TO esrp_analytics;


--
-- Name: COLUMN diversity_plans.tenant_id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE judge.diversity_plans TO esrp_judge;
GRANT SELECT(tenant_id) ON TABLE judge.diversity_plans TO esrp_gateway;
GRANT SELECT(tenant_id) ON TABLE judge.diversity_plans TO esrp_analytics;


--
-- Name: COLUMN diversity_plans.revision; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(revision) ON TABLE judge.diversity_plans TO esrp_judge;
GRANT SELECT(revision) ON TABLE judge.diversity_plans TO esrp_gateway;
GRANT SELECT(revision) ON TABLE judge.diversity_plans TO esrp_analytics;


--
-- Name: TABLE diversity_plans_v1; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT ON TABLE judge.diversity_plans_v1 TO esrp_judge;
GRANT SELECT ON TABLE judge.diversity_plans_v1 TO esrp_gateway;
GRANT SELECT ON TABLE judge.diversity_plans_v1 TO esrp_analytics;


--
-- Name: TABLE diversity_verdicts; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE judge.diversity_verdicts TO esrp_judge;


--
-- Name: COLUMN diversity_verdicts.id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(id) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(id) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(id) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(id) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts.tenant_id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(tenant_id) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(tenant_id) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(tenant_id) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts.run_id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(run_id) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(run_id) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(run_id) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts."character"; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT("character") ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT("character") ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT("character") ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT("character") ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts.batch; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(batch) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(batch) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(batch) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(batch) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts.judge; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(judge) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(judge) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(judge) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(judge) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts.replies; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(replies) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(replies) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(replies) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(replies) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts.state; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(state) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(state) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(state) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(state) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts.score; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(score) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(score) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(score) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(score) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts.explanation; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(explanation) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(explanation) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(explanation) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(explanation) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts.raw; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(raw) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(raw) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(raw) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(raw) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts.error; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(error) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(error) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(error) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(error) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts.calls; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(calls) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(calls) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(calls) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(calls) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts.prompt_tokens; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(prompt_tokens) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(prompt_tokens) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(prompt_tokens) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(prompt_tokens) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts.completion_tokens; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(completion_tokens) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(completion_tokens) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(completion_tokens) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(completion_tokens) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts.finished_at; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(finished_at) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(finished_at) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(finished_at) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(finished_at) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: COLUMN diversity_verdicts.changed_in; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(changed_in) ON TABLE judge.diversity_verdicts TO esrp_judge;
GRANT SELECT(changed_in) ON TABLE judge.diversity_verdicts TO esrp_gateway;
GRANT SELECT(changed_in) ON TABLE judge.diversity_verdicts TO esrp_analytics;
GRANT SELECT(changed_in) ON TABLE judge.diversity_verdicts TO esrp_generator;


--
-- Name: TABLE diversity_verdicts_v1; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT ON TABLE judge.diversity_verdicts_v1 TO esrp_judge;
GRANT SELECT ON TABLE judge.diversity_verdicts_v1 TO esrp_gateway;
GRANT SELECT ON TABLE judge.diversity_verdicts_v1 TO esrp_analytics;
GRANT SELECT ON TABLE judge.diversity_verdicts_v1 TO esrp_generator;


--
-- Name: TABLE exhausted; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE judge.exhausted TO esrp_judge;


--
-- Name: COLUMN exhausted.run_id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE judge.exhausted TO esrp_judge;
GRANT SELECT(run_id) ON TABLE judge.exhausted TO esrp_generator;
GRANT SELECT(run_id) ON TABLE judge.exhausted TO esrp_gateway;


--
-- Name: COLUMN exhausted.tenant_id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE judge.exhausted TO esrp_judge;
GRANT SELECT(tenant_id) ON TABLE judge.exhausted TO esrp_generator;
GRANT SELECT(tenant_id) ON TABLE judge.exhausted TO esrp_gateway;


--
-- Name: COLUMN exhausted.revision; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(revision) ON TABLE judge.exhausted TO esrp_judge;
GRANT SELECT(revision) ON TABLE judge.exhausted TO esrp_generator;
GRANT SELECT(revision) ON TABLE judge.exhausted TO esrp_gateway;


--
-- Name: TABLE exhausted_v1; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT ON TABLE judge.exhausted_v1 TO esrp_judge;
GRANT SELECT ON TABLE judge.exhausted_v1 TO esrp_generator;
GRANT SELECT ON TABLE judge.exhausted_v1 TO esrp_gateway;


--
-- Name: TABLE expected; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE judge.expected TO esrp_judge;


--
-- Name: TABLE pace_changes; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE judge.pace_changes TO esrp_judge;


--
-- Name: COLUMN pace_changes.id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(id) ON TABLE judge.pace_changes TO esrp_judge;
GRANT SELECT(id) ON TABLE judge.pace_changes TO esrp_gateway;


--
-- Name: COLUMN pace_changes.tenant_id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE judge.pace_changes TO esrp_judge;
GRANT SELECT(tenant_id) ON TABLE judge.pace_changes TO esrp_gateway;


--
-- Name: COLUMN pace_changes.endpoint; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(endpoint) ON TABLE judge.pace_changes TO esrp_judge;
GRANT SELECT(endpoint) ON TABLE judge.pace_changes TO esrp_gateway;


--
-- Name: COLUMN pace_changes."limit"; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT("limit") ON TABLE judge.pace_changes TO esrp_judge;
GRANT SELECT("limit") ON TABLE judge.pace_changes TO esrp_gateway;


--
-- Name: COLUMN pace_changes.cause; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(cause) ON TABLE judge.pace_changes TO esrp_judge;
GRANT SELECT(cause) ON TABLE judge.pace_changes TO esrp_gateway;


--
-- Name: COLUMN pace_changes.at; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(at) ON TABLE judge.pace_changes TO esrp_judge;
GRANT SELECT(at) ON TABLE judge.pace_changes TO esrp_gateway;


--
-- Name: TABLE pace_changes_v1; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT ON TABLE judge.pace_changes_v1 TO esrp_judge;
GRANT SELECT ON TABLE judge.pace_changes_v1 TO esrp_gateway;


--
-- Name: TABLE pacing; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE judge.pacing TO esrp_judge;


--
-- Name: TABLE seats; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE judge.seats TO esrp_judge;


--
-- Name: TABLE slices; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE judge.slices TO esrp_judge;


--
-- Name: COLUMN slices.id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(id) ON TABLE judge.slices TO esrp_judge;
GRANT SELECT(id) ON TABLE judge.slices TO esrp_generator;
GRANT SELECT(id) ON TABLE judge.slices TO esrp_gateway;


--
-- Name: COLUMN slices.run_id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE judge.slices TO esrp_judge;
GRANT SELECT(run_id) ON TABLE judge.slices TO esrp_generator;
GRANT SELECT(run_id) ON TABLE judge.slices TO esrp_gateway;


--
-- Name: COLUMN slices.expires_at; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(expires_at) ON TABLE judge.slices TO esrp_judge;
GRANT SELECT(expires_at) ON TABLE judge.slices TO esrp_generator;
GRANT SELECT(expires_at) ON TABLE judge.slices TO esrp_gateway;


--
-- Name: COLUMN slices.reserved_calls; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(reserved_calls) ON TABLE judge.slices TO esrp_judge;
GRANT SELECT(reserved_calls) ON TABLE judge.slices TO esrp_generator;
GRANT SELECT(reserved_calls) ON TABLE judge.slices TO esrp_gateway;


--
-- Name: COLUMN slices.reserved_tokens; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(reserved_tokens) ON TABLE judge.slices TO esrp_judge;
GRANT SELECT(reserved_tokens) ON TABLE judge.slices TO esrp_generator;
GRANT SELECT(reserved_tokens) ON TABLE judge.slices TO esrp_gateway;


--
-- Name: COLUMN slices.reserved_cost; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(reserved_cost) ON TABLE judge.slices TO esrp_judge;
GRANT SELECT(reserved_cost) ON TABLE judge.slices TO esrp_generator;
GRANT SELECT(reserved_cost) ON TABLE judge.slices TO esrp_gateway;


--
-- Name: TABLE slices_v1; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT ON TABLE judge.slices_v1 TO esrp_judge;
GRANT SELECT ON TABLE judge.slices_v1 TO esrp_generator;
GRANT SELECT ON TABLE judge.slices_v1 TO esrp_gateway;


--
-- Name: TABLE tallies; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE judge.tallies TO esrp_judge;


--
-- Name: COLUMN tallies.run_id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE judge.tallies TO esrp_judge;
GRANT SELECT(run_id) ON TABLE judge.tallies TO esrp_gateway;
GRANT SELECT(run_id) ON TABLE judge.tallies TO esrp_generator;
GRANT SELECT(run_id) ON TABLE judge.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.judge; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(judge) ON TABLE judge.tallies TO esrp_judge;
GRANT SELECT(judge) ON TABLE judge.tallies TO esrp_gateway;
GRANT SELECT(judge) ON TABLE judge.tallies TO esrp_generator;
GRANT SELECT(judge) ON TABLE judge.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.tenant_id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE judge.tallies TO esrp_judge;
GRANT SELECT(tenant_id) ON TABLE judge.tallies TO esrp_gateway;
GRANT SELECT(tenant_id) ON TABLE judge.tallies TO esrp_generator;
GRANT SELECT(tenant_id) ON TABLE judge.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.done; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(done) ON TABLE judge.tallies TO esrp_judge;
GRANT SELECT(done) ON TABLE judge.tallies TO esrp_gateway;
GRANT SELECT(done) ON TABLE judge.tallies TO esrp_generator;
GRANT SELECT(done) ON TABLE judge.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.failed; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(failed) ON TABLE judge.tallies TO esrp_judge;
GRANT SELECT(failed) ON TABLE judge.tallies TO esrp_gateway;
GRANT SELECT(failed) ON TABLE judge.tallies TO esrp_generator;
GRANT SELECT(failed) ON TABLE judge.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.batches_failed; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(batches_failed) ON TABLE judge.tallies TO esrp_judge;
GRANT SELECT(batches_failed) ON TABLE judge.tallies TO esrp_gateway;
GRANT SELECT(batches_failed) ON TABLE judge.tallies TO esrp_generator;
GRANT SELECT(batches_failed) ON TABLE judge.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.calls; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(calls) ON TABLE judge.tallies TO esrp_judge;
GRANT SELECT(calls) ON TABLE judge.tallies TO esrp_gateway;
GRANT SELECT(calls) ON TABLE judge.tallies TO esrp_generator;
GRANT SELECT(calls) ON TABLE judge.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.prompt_tokens; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(prompt_tokens) ON TABLE judge.tallies TO esrp_judge;
GRANT SELECT(prompt_tokens) ON TABLE judge.tallies TO esrp_gateway;
GRANT SELECT(prompt_tokens) ON TABLE judge.tallies TO esrp_generator;
GRANT SELECT(prompt_tokens) ON TABLE judge.tallies TO esrp_analytics;


--
-- Name: COLUMN tallies.completion_tokens; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(completion_tokens) ON TABLE judge.tallies TO esrp_judge;
GRANT SELECT(completion_tokens) ON TABLE judge.tallies TO esrp_gateway;
GRANT SELECT(completion_tokens) ON TABLE judge.tallies TO esrp_generator;
GRANT SELECT(completion_tokens) ON TABLE judge.tallies TO esrp_analytics;


--
-- Name: TABLE tallies_v1; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT ON TABLE judge.tallies_v1 TO esrp_judge;
GRANT SELECT ON TABLE judge.tallies_v1 TO esrp_gateway;
GRANT SELECT ON TABLE judge.tallies_v1 TO esrp_generator;
GRANT SELECT ON TABLE judge.tallies_v1 TO esrp_analytics;


--
-- Name: TABLE verdicts; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE judge.verdicts TO esrp_judge;


--
-- Name: COLUMN verdicts.id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(id) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(id) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(id) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(id) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts.tenant_id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(tenant_id) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(tenant_id) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(tenant_id) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(tenant_id) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts.run_id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(run_id) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(run_id) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(run_id) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(run_id) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts.dialogue_id; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(dialogue_id) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(dialogue_id) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(dialogue_id) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(dialogue_id) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts."character"; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT("character") ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT("character") ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT("character") ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT("character") ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts.scenario; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(scenario) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(scenario) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(scenario) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(scenario) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts.replicate; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(replicate) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(replicate) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(replicate) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(replicate) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts.judge; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(judge) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(judge) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(judge) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(judge) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts.state; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(state) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(state) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(state) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(state) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts.scores; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(scores) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(scores) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(scores) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(scores) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts.raw; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(raw) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(raw) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(raw) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(raw) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts.error; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(error) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(error) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(error) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(error) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts.calls; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(calls) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(calls) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(calls) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(calls) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts.prompt_tokens; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(prompt_tokens) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(prompt_tokens) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(prompt_tokens) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(prompt_tokens) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts.completion_tokens; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(completion_tokens) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(completion_tokens) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(completion_tokens) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(completion_tokens) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts.finished_at; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(finished_at) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(finished_at) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(finished_at) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(finished_at) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: COLUMN verdicts.changed_in; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT(changed_in) ON TABLE judge.verdicts TO esrp_judge;
GRANT SELECT(changed_in) ON TABLE judge.verdicts TO esrp_gateway;
GRANT SELECT(changed_in) ON TABLE judge.verdicts TO esrp_analytics;
GRANT SELECT(changed_in) ON TABLE judge.verdicts TO esrp_generator;


--
-- Name: TABLE verdicts_v1; Type: ACL; Schema: judge; Owner: postgres
--

GRANT SELECT ON TABLE judge.verdicts_v1 TO esrp_judge;
GRANT SELECT ON TABLE judge.verdicts_v1 TO esrp_gateway;
GRANT SELECT ON TABLE judge.verdicts_v1 TO esrp_analytics;
GRANT SELECT ON TABLE judge.verdicts_v1 TO esrp_generator;


--
-- Name: TABLE alembic_version; Type: ACL; Schema: public; Owner: postgres
--

GRANT SELECT ON TABLE public.alembic_version TO esrp_gateway;
GRANT SELECT ON TABLE public.alembic_version TO esrp_generator;
GRANT SELECT ON TABLE public.alembic_version TO esrp_judge;
GRANT SELECT ON TABLE public.alembic_version TO esrp_analytics;


--
-- PostgreSQL database dump complete
--


