-- Who may do what with Weir's store in PostgreSQL. The owner of its tables runs this, as often as need be.
-- {analyst}: reads by functions that log who reads, and that answer once an anchor was signed for it.
-- {sink}: `weir sink`. {keeper}: holds, purges, erases and verifies. Grant these to logins of persons and processes.

DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY[{names}] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role);
    END IF;
  END LOOP;
END $$;

-- The end of the chain of acts moves on by one. Called by the functions below only.
CREATE OR REPLACE FUNCTION {schema}.weir_append_act(
  kind text, what jsonb, count bigint, by text, note text
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  head record;
  act jsonb;
  body bytea;
BEGIN
  PERFORM pg_advisory_xact_lock({writer});
  SELECT a.sequence, a.hash INTO head FROM {schema}.weir_acts a ORDER BY a.sequence DESC LIMIT 1;
  IF NOT FOUND THEN
    SELECT 0::bigint AS sequence,
           sha256(convert_to('weir.chain/1 ' || s.id || ' acts', 'UTF8')) AS hash
      INTO STRICT head FROM {schema}.weir_store s;
  END IF;
  act := jsonb_build_object(
    'schema', 'weir.act/1', 'kind', kind, 'who', session_user::text,
    'time', (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
    'what', what, 'count', count, 'note', left(coalesce(note, ''), 10000));
  IF coalesce(by, '') NOT IN ('', session_user::text) THEN
    act := act || jsonb_build_object('by', left(by, 200));
  END IF;
  body := convert_to(act::text, 'UTF8');
  INSERT INTO {schema}.weir_acts (sequence, previous, hash, body, kind) VALUES (
    head.sequence + 1, head.hash, sha256(int8send(head.sequence + 1) || head.hash || body), body,
    kind);
  RETURN head.sequence + 1;
END $$;

-- What a read gives of a record whose bytes were erased: NUL, which no record begins with, and who did it.
CREATE OR REPLACE FUNCTION {schema}.weir_erasure(record bigint, id text) RETURNS bytea
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT '\x00'::bytea || convert_to(jsonb_build_object(
      'id', id, 'act', a.sequence, 'time', a.said->'time',
      'who', (a.said->>'who') || coalesce(' as ' || (a.said->>'by'), ''))::text, 'UTF8')
    FROM (SELECT sequence, convert_from(body, 'UTF8')::jsonb AS said
            FROM {schema}.weir_acts WHERE kind = 'redact') AS a
    WHERE (a.said->'what'->'rows') ? record::text ORDER BY a.sequence DESC LIMIT 1;
$$;

-- The records that a read means, as a statement; what it may say is listed here.
CREATE OR REPLACE FUNCTION {schema}.weir_meant(what jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  name text;
  said text;
  found text := '';
BEGIN
  FOR name, said IN SELECT * FROM jsonb_each_text(what) LOOP
    found := found || CASE
      WHEN name IN ('id', 'event_id', 'event_key', 'outcome', 'package')
        THEN format(' AND %I = %L', name, left(said, 200))
      WHEN name = 'from_ms' THEN format(' AND event_time >= %s', said::bigint)
      WHEN name = 'to_ms' THEN format(' AND event_time < %s', said::bigint)
      WHEN name = 'through' THEN format(' AND sequence <= %s', said::bigint)
      WHEN name = 'limit' THEN ''
    END;
  END LOOP;
  IF found IS NULL OR what->>'limit' IS NULL THEN
    RAISE EXCEPTION 'a read names limit and, if need be, id, event_id, event_key, outcome, package, from_ms, to_ms';
  END IF;
  RETURN format(
    'SELECT CASE WHEN length(body) > 0 THEN body ELSE coalesce({schema}.weir_erasure(sequence, id), body) END
       FROM {schema}.weir_records WHERE true%s ORDER BY event_time DESC, sequence DESC LIMIT %s',
    found, (what->>'limit')::bigint);
END $$;

-- First step of a read: log it, and commit. Who reads is the login, whatever name they give.
CREATE OR REPLACE FUNCTION {schema}.weir_ask(what jsonb, by text, note text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  through bigint;
  found bigint;
BEGIN
  SELECT coalesce(max(r.sequence), 0) INTO through FROM {schema}.weir_records r;
  what := what || jsonb_build_object('through', through);
  EXECUTE 'SELECT count(*) FROM (' || {schema}.weir_meant(what) || ') AS meant' INTO found;
  RETURN {schema}.weir_append_act('read', what, found, by, note);
END $$;

-- The last act that an anchor was signed for; the sink signs within a second.
CREATE OR REPLACE FUNCTION {schema}.weir_signed() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce((
    SELECT (convert_from(a.body, 'UTF8')::jsonb #>> '{{acts,sequence}}')::bigint
      FROM {schema}.weir_anchors a ORDER BY a.number DESC LIMIT 1), 0);
$$;

-- Second step: the records, once an anchor was signed for the act. Who rolls the first step back,
-- or never commits it, has no signed act, and gets nothing.
CREATE OR REPLACE FUNCTION {schema}.weir_answer(act bigint) RETURNS SETOF bytea
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  logged jsonb;
BEGIN
  SELECT convert_from(a.body, 'UTF8')::jsonb INTO logged
    FROM {schema}.weir_acts a WHERE a.sequence = act AND a.kind = 'read';
  IF logged IS NULL OR logged->>'who' IS DISTINCT FROM session_user::text THEN
    RAISE EXCEPTION 'act % is no read of yours', act;
  END IF;
  IF (logged->>'time')::bigint < (extract(epoch FROM clock_timestamp()) - 600) * 1000 THEN
    RAISE EXCEPTION 'act % is older than ten minutes: ask again', act;
  END IF;
  IF {schema}.weir_signed() < act THEN
    RAISE EXCEPTION 'no anchor was signed for act % yet', act;
  END IF;
  RETURN QUERY EXECUTE {schema}.weir_meant(logged->'what');
END $$;

-- Other acts of a keeper.
CREATE OR REPLACE FUNCTION {schema}.weir_log(
  kind text, what jsonb, count bigint, by text, note text
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF kind NOT IN ('hold', 'release', 'purge', 'accept', 'dossier') THEN
    RAISE EXCEPTION 'a keeper logs hold, release, purge, accept or dossier, and not %', kind;
  END IF;
  RETURN {schema}.weir_append_act(kind, what, count, by, note);
END $$;

-- A keeper erases the bytes of records, and what leads to the person, under an act that lists them. Without an
-- anchor that calls it a redaction, which takes the key, `weir audit verify` names each of these records.
CREATE OR REPLACE FUNCTION {schema}.weir_redact(what jsonb, by text, note text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  listed bigint[] := ARRAY(SELECT number::bigint FROM jsonb_object_keys(what->'rows') AS number);
BEGIN
  UPDATE {schema}.weir_records SET body = '', event_id = '', event_key = ''
    WHERE sequence = ANY (listed);
  RETURN {schema}.weir_append_act('redact', what, cardinality(listed), by, note);
END $$;

-- Somebody has destroyed the key of a token.
CREATE OR REPLACE FUNCTION {schema}.weir_erased(what jsonb, by text, note text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT {schema}.weir_append_act('erase', what, 1, by, note);
$$;

REVOKE ALL ON {schema}.weir_store, {schema}.weir_records, {schema}.weir_acts, {schema}.weir_anchors
  FROM PUBLIC, {analyst}, {sink}, {keeper};
REVOKE ALL ON FUNCTION
  {schema}.weir_append_act(text, jsonb, bigint, text, text), {schema}.weir_meant(jsonb),
  {schema}.weir_erasure(bigint, text), {schema}.weir_redact(jsonb, text, text),
  {schema}.weir_ask(jsonb, text, text), {schema}.weir_signed(), {schema}.weir_answer(bigint),
  {schema}.weir_log(text, jsonb, bigint, text, text), {schema}.weir_erased(jsonb, text, text)
  FROM PUBLIC, {analyst}, {sink}, {keeper};
REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC;
GRANT USAGE ON SCHEMA {schema} TO {analyst}, {sink}, {keeper};
GRANT SELECT ON {schema}.weir_store TO {analyst};
GRANT EXECUTE ON FUNCTION
  {schema}.weir_ask(jsonb, text, text), {schema}.weir_signed(), {schema}.weir_answer(bigint),
  {schema}.weir_erased(jsonb, text, text) TO {analyst}, {keeper};
GRANT SELECT ON
  {schema}.weir_store, {schema}.weir_records, {schema}.weir_acts, {schema}.weir_anchors
  TO {sink}, {keeper};
GRANT INSERT ON {schema}.weir_records, {schema}.weir_anchors TO {sink};
GRANT INSERT ON {schema}.weir_anchors TO {keeper};
GRANT DELETE ON {schema}.weir_records TO {keeper};
GRANT EXECUTE ON FUNCTION {schema}.weir_log(text, jsonb, bigint, text, text) TO {keeper}, {sink};
GRANT EXECUTE ON FUNCTION {schema}.weir_redact(jsonb, text, text) TO {keeper};
