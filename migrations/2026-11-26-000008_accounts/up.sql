CREATE TABLE accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    role text NOT NULL,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT accounts_name_given CHECK (name <> ''),
    CONSTRAINT accounts_role_known CHECK (role IN ('viewer', 'editor', 'owner'))
);
COMMENT ON TABLE accounts IS 'People who may sign in. Without any, whoever reaches the loopback address is the owner.';
COMMENT ON COLUMN accounts.name IS 'No two differ in case or accents alone.';
COMMENT ON COLUMN accounts.role IS 'hm::models::account::Role.';
COMMENT ON COLUMN accounts.password_hash IS 'Argon2id, as a PHC string.';
CREATE UNIQUE INDEX accounts_name ON accounts (fold(name));

CREATE TABLE sessions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    secret_hash bytea NOT NULL UNIQUE,
    account_id bigint NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    agent text NOT NULL,
    address text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sessions_hash_whole CHECK (octet_length(secret_hash) = 32)
);
COMMENT ON TABLE sessions IS 'Browsers that are signed in.';
COMMENT ON COLUMN sessions.secret_hash IS 'BLAKE3 of the cookie.';
COMMENT ON COLUMN sessions.agent IS 'What the browser calls itself.';
COMMENT ON COLUMN sessions.seen_at IS 'To a few minutes; a session ends a month after.';
CREATE INDEX sessions_account_id ON sessions (account_id);

CREATE TABLE api_tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    secret_hash bytea NOT NULL UNIQUE,
    account_id bigint NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name text NOT NULL,
    scope text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    used_at timestamptz,
    CONSTRAINT api_tokens_hash_whole CHECK (octet_length(secret_hash) = 32),
    CONSTRAINT api_tokens_scope_known CHECK (scope IN ('viewer', 'editor', 'owner'))
);
COMMENT ON TABLE api_tokens IS 'Programs that act for an account.';
COMMENT ON COLUMN api_tokens.secret_hash IS 'BLAKE3 of the token.';
COMMENT ON COLUMN api_tokens.scope IS 'hm::models::account::Role: the most it may do; never more than its account.';
COMMENT ON COLUMN api_tokens.expires_at IS 'Null: never.';
COMMENT ON COLUMN api_tokens.used_at IS 'To a few minutes.';
CREATE INDEX api_tokens_account_id ON api_tokens (account_id);

CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    detail text NOT NULL DEFAULT '',
    address text NOT NULL DEFAULT ''
);
COMMENT ON TABLE audit IS 'Sign-ins and changes of accounts; edits of images are in edits.';
COMMENT ON COLUMN audit.actor IS 'Name of the account, as it was typed where nobody has it.';
COMMENT ON COLUMN audit.action IS 'hm::db::accounts::Action.';
COMMENT ON COLUMN audit.address IS 'Where the request came from; empty for the command line.';
CREATE INDEX audit_failures ON audit (at) WHERE action = 'sign-in-failed';
