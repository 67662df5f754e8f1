-- Records of all kinds: what a kind has for fields stands in the body.
CREATE TABLE provisioning (
    kind text COLLATE "C" NOT NULL,
    key  text COLLATE "C" NOT NULL CHECK (octet_length(key) <= 2000),
    body jsonb NOT NULL CHECK (jsonb_typeof(body) = 'object'),
    PRIMARY KEY (kind, key)
);

-- Counts changes of records, for whoever waits for one; the number of the database tells it from another one.
CREATE TABLE generation (
    database bigint NOT NULL,
    value    bigint NOT NULL
);
INSERT INTO generation VALUES (floor(random() * 9e15)::bigint, 0);

CREATE FUNCTION provisioning_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- What writes the same again changes nothing.
    IF TG_OP <> 'TRUNCATE' THEN
        IF NOT EXISTS (SELECT FROM changed) THEN
            RETURN NULL;
        END IF;
    END IF;
    UPDATE generation SET value = value + 1;
    PERFORM pg_notify('repro_provisioning', '');
    RETURN NULL;
END $$;

CREATE TRIGGER provisioning_insert AFTER INSERT ON provisioning REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION provisioning_changed();
CREATE TRIGGER provisioning_update AFTER UPDATE ON provisioning REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION provisioning_changed();
CREATE TRIGGER provisioning_delete AFTER DELETE ON provisioning REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION provisioning_changed();
CREATE TRIGGER provisioning_truncate AFTER TRUNCATE ON provisioning
    FOR EACH STATEMENT EXECUTE FUNCTION provisioning_changed();
