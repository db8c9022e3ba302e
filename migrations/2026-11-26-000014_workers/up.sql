CREATE TABLE workers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    secret_hash bytea NOT NULL UNIQUE,
    wake_address text,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz,
    CONSTRAINT workers_name_plain CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    CONSTRAINT workers_hash_whole CHECK (octet_length(secret_hash) = 32)
);
COMMENT ON TABLE workers IS 'Machines that were invited to run networks.';
COMMENT ON COLUMN workers.name IS 'Also the end of its name in the private Redis: hm-worker-NAME.';
COMMENT ON COLUMN workers.secret_hash IS 'BLAKE3 of its token for pictures and networks.';
COMMENT ON COLUMN workers.wake_address IS 'Hardware address that wakes it; null: nobody does.';
COMMENT ON COLUMN workers.used_at IS 'When its token was last used, to a few minutes.';
