"""Postgres doing tidemill's works, as well as we know how: a process each, `peer_postgres.py WORK --store CONNINFO …`,
against a server that is running already. Inputs and reports are read and written by the server itself.

Every change is one transaction, synced before COMMIT returns, and reports are synced. It prints one JSON object: the
counts that the comparison checks, `inside_s`, and the most memory that its server process took.
"""

import time

import psycopg

import peer

IDENTIFIERS = ("user_id", "external_id", "email", "mobile", "card")


class Store:
    """A connection whose every work is one transaction."""

    def __init__(self, conninfo):
        self.con = psycopg.connect(conninfo)
        self.pid = self.con.info.backend_pid

    def execute(self, sql):
        return self.con.execute(sql)

    def row(self, sql):
        return self.con.execute(sql).fetchone()

    def commit(self):
        self.con.commit()

    def memory_peak_bytes(self):
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return None

    def close(self):
        self.con.close()


def with_memory(work):
    def run(store, args):
        begun = time.perf_counter()
        result = work(store, args)
        result.setdefault("inside_s", time.perf_counter() - begun)
        result["memory_peak_bytes"] = store.memory_peak_bytes()
        return result

    return run


def begin(store, args, kind):
    """Begins the one transaction of a job, and returns its number."""
    store.execute("""
        CREATE TABLE IF NOT EXISTS jobs (job integer, kind text, reason text, started timestamptz);
        CREATE TABLE IF NOT EXISTS ledger (
            job integer, line bigint, customer_id bigint, kind text, amount bigint, balance_after bigint,
            expires_on date, expires_on_before date
        );
        CREATE TABLE IF NOT EXISTS rejects (job integer, line bigint, code text)
    """)
    (job,) = store.row("SELECT coalesce(max(job), 0) + 1 FROM jobs")
    store.execute(f"INSERT INTO jobs VALUES ({job}, '{kind}', 'bench', '{args.now}')")
    return job


def w0(store, args):
    """Customers into an empty database: the direct COPY into typed columns, which writes no log for a table of the same
    transaction, then the unique indexes. A bad cell or a repeated identifier ends the job: W0's file has none, and
    Postgres 15 cannot try a cast."""
    store.execute("""
        CREATE TABLE customers (
            customer_id bigint GENERATED ALWAYS AS IDENTITY, user_id text, external_id text, email text, mobile text,
            card text, name text, birthday date, gender text, consent text, tier text, ltv numeric(18, 4),
            orders integer, created_at date, opening bigint
        )
    """)
    columns = "user_id, external_id, email, mobile, card, name, birthday, gender, consent, tier, ltv, orders, created_at"
    store.execute(f"COPY customers ({columns}, opening) FROM '{args.input('customers.csv')}' (FORMAT csv, HEADER)")
    for identifier in IDENTIFIERS:
        store.execute(f"CREATE UNIQUE INDEX ON customers ({identifier})")
    # Half-filled pages, so that a new balance finds room beside the old one and no index is touched.
    store.execute("CREATE TABLE accounts (customer_id bigint, balance bigint) WITH (fillfactor = 45)")
    store.execute("INSERT INTO accounts SELECT customer_id, coalesce(opening, 0) FROM customers")
    store.execute("ALTER TABLE accounts ADD PRIMARY KEY (customer_id)")
    job = begin(store, args, "import-customers")
    store.execute(f"""
        INSERT INTO ledger SELECT {job}, customer_id + 1, customer_id, 'credit', opening, opening
        FROM customers WHERE opening <> 0
    """)
    store.commit()
    created, credited = store.row("SELECT count(*), sum(balance)::bigint FROM accounts")
    return {"read": created, "applied": created, "rejected": 0, "credited": credited}


def analyze(store, args):
    """What autovacuum does by itself soon after a load; not measured."""
    store.commit()
    store.con.autocommit = True
    store.execute("VACUUM ANALYZE")
    return {}


def w1(store, args):
    """Points with debits that must not go below zero: of each customer the rows in file order, a debit beyond the
    balance is refused and changes nothing.

    That is a recurrence. A window sum gives the same where it never goes below zero; customers for whom it does are done
    again by a window over an aggregate of our own, which is the rule itself, but slower than `sum`."""
    job = begin(store, args, "import-points")
    # Whole lines, because COPY ends at the first ragged row; their numbers are the file's order.
    store.execute("CREATE TEMP TABLE lines (row bigint GENERATED ALWAYS AS IDENTITY, line text) ON COMMIT DROP")
    store.execute(f"""
        COPY lines (line) FROM '{args.input("points.csv")}' (FORMAT csv, HEADER, DELIMITER E'\\x01', QUOTE E'\\x02')
    """)
    store.execute(r"""
        CREATE FUNCTION pg_temp.cells(line text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
            SELECT array_agg(
                CASE WHEN cell[1] LIKE '"%' THEN replace(substr(cell[1], 2, length(cell[1]) - 2), '""', '"') ELSE cell[1] END
                ORDER BY n
            )
            FROM regexp_matches(',' || line, ',("(?:[^"]|"")*"|[^,]*)', 'g') WITH ORDINALITY AS found (cell, n)
        $$;
        CREATE FUNCTION pg_temp.take(state bigint, opening bigint, amount bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
            SELECT CASE WHEN coalesce(state, opening) + amount < 0 THEN coalesce(state, opening)
                        ELSE coalesce(state, opening) + amount END
        $$;
        CREATE AGGREGATE pg_temp.balance_after(bigint, bigint) (sfunc = pg_temp.take, stype = bigint);
        ANALYZE lines
    """)
    store.execute(r"""
        CREATE TEMP TABLE resolved ON COMMIT DROP AS
        SELECT row, cells, code, CASE WHEN code IS NULL THEN coalesce(by_email, by_mobile) END AS customer_id,
               CASE WHEN code IS NOT NULL THEN NULL
                    WHEN upper(cells[4]) IN ('DR', 'DEBIT') THEN -cells[3]::bigint
                    ELSE cells[3]::bigint
               END AS amount
        FROM (
            SELECT row, cells, e.customer_id AS by_email, m.customer_id AS by_mobile,
                   CASE WHEN cardinality(cells) <> 4 THEN 'row_malformed'
                        WHEN cells[1] = '' AND cells[2] = '' THEN 'identifier_missing'
                        WHEN cells[1] <> '' AND strpos(cells[1], '@') = 0
                            OR cells[2] <> '' AND cells[2] !~ '^\+[0-9]{7,15}$' THEN 'identifier_invalid'
                        WHEN cells[3] = '' THEN 'amount_missing'
                        WHEN cells[3] !~ '^[0-9]{1,18}$' THEN 'amount_invalid'
                        WHEN upper(cells[4]) NOT IN ('', 'CR', 'CREDIT', 'DR', 'DEBIT') THEN 'operation_invalid'
                        WHEN e.customer_id IS NULL AND m.customer_id IS NULL THEN 'identifier_unknown'
                        WHEN e.customer_id <> m.customer_id THEN 'identifier_conflict'
                   END AS code
            FROM (
                SELECT row, CASE WHEN strpos(line, '"') = 0 THEN string_to_array(line, ',') ELSE pg_temp.cells(line) END
                       AS cells
                FROM lines OFFSET 0
            ) split
            LEFT JOIN customers e ON e.email = nullif(lower(cells[1]), '')
            LEFT JOIN customers m ON m.mobile = nullif(cells[2], '')
        ) checked;
        ANALYZE resolved
    """)
    store.execute("""
        CREATE TEMP TABLE summed ON COMMIT DROP AS
        SELECT r.row, r.customer_id, r.amount, a.balance AS opening, a.balance + sum(r.amount) OVER in_order AS after,
               lead(r.row) OVER in_order IS NULL AS is_last
        FROM resolved r JOIN accounts a USING (customer_id)
        WINDOW in_order AS (PARTITION BY r.customer_id ORDER BY r.row ROWS UNBOUNDED PRECEDING);
        ANALYZE summed
    """)
    store.execute("""
        CREATE TEMP TABLE walked ON COMMIT DROP AS
        SELECT row, after, coalesce(lag(after) OVER (PARTITION BY customer_id ORDER BY row), opening) + amount < 0
               AS is_short
        FROM (
            SELECT row, customer_id, amount, opening, pg_temp.balance_after(opening, amount)
                   OVER (PARTITION BY customer_id ORDER BY row ROWS UNBOUNDED PRECEDING) AS after
            FROM summed WHERE customer_id IN (SELECT customer_id FROM summed WHERE after < 0)
        ) run;
        ANALYZE walked
    """)
    store.execute("""
        CREATE TEMP TABLE outcomes ON COMMIT DROP AS
        SELECT r.row, r.cells, r.customer_id, r.amount, coalesce(w.after, s.after)::bigint AS after, s.opening, s.is_last,
               CASE WHEN w.is_short THEN 'insufficient_balance' ELSE r.code END AS code
        FROM resolved r LEFT JOIN summed s USING (row) LEFT JOIN walked w USING (row)
        ORDER BY r.row;
        ANALYZE outcomes
    """)
    store.execute(f"""
        INSERT INTO ledger
        SELECT {job}, row + 1, customer_id, CASE WHEN amount < 0 THEN 'debit' ELSE 'credit' END, amount, after
        FROM outcomes WHERE code IS NULL AND amount <> 0;
        UPDATE accounts a SET balance = o.after FROM outcomes o
        WHERE o.is_last AND o.customer_id = a.customer_id AND o.after <> o.opening;
        INSERT INTO rejects SELECT {job}, row + 1, code FROM outcomes WHERE code IS NOT NULL
    """)
    store.execute(f"""
        COPY (
            SELECT row + 1 AS line,
                   CASE WHEN code IS NOT NULL THEN 'rejected' WHEN amount = 0 THEN 'unchanged' ELSE 'applied' END AS status,
                   code,
                   CASE code WHEN 'insufficient_balance' THEN 'the balance of ' || after || ' does not cover ' || -amount
                       WHEN 'amount_invalid' THEN 'amount `' || cells[3] || '` is no whole number'
                       WHEN 'operation_invalid' THEN 'operation `' || cells[4] || '` is none of cr, credit, debit, dr'
                       WHEN 'identifier_unknown' THEN 'no customer has `' || coalesce(nullif(cells[1], ''), cells[2]) || '`'
                       ELSE code END AS message,
                   CASE WHEN code IS DISTINCT FROM 'row_malformed' THEN coalesce(nullif(cells[1], ''), cells[2]) END
                       AS customer,
                   CASE WHEN code IS NULL THEN amount END AS amount, CASE WHEN code IS NULL THEN after END AS balance
            FROM outcomes ORDER BY row
        ) TO '{args.out}' (FORMAT csv, HEADER)
    """)
    peer.sync(args.out)
    read, applied, unchanged, credited, debited = store.row("""
        SELECT count(*), count(*) FILTER (WHERE code IS NULL AND amount <> 0),
               count(*) FILTER (WHERE code IS NULL AND amount = 0),
               (sum(amount) FILTER (WHERE code IS NULL AND amount > 0))::bigint,
               (-sum(amount) FILTER (WHERE code IS NULL AND amount < 0))::bigint
        FROM outcomes
    """)
    store.commit()
    return {
        "read": read,
        "applied": applied,
        "unchanged": unchanged,
        "rejected": read - applied - unchanged,
        "credited": credited or 0,
        "debited": debited or 0,
    }


JOINED = "customers JOIN accounts USING (customer_id)"


def w2a(store, _args):
    """Counts the customers of a filter and their balances, and shows some of them."""
    count, _total = store.row(f"SELECT count(*), sum(balance) FROM {JOINED} WHERE {peer.FILTER}")
    store.execute(f"SELECT * FROM {JOINED} WHERE {peer.FILTER} LIMIT 50").fetchall()
    return {"applied": count}


def credit(store, args, selection):
    job = begin(store, args, "bulk-credit")
    store.execute(f"""
        CREATE TEMP TABLE selected ON COMMIT DROP AS SELECT customer_id FROM {JOINED} WHERE {selection};
        ANALYZE selected
    """)
    cursor = store.execute(f"""
        WITH credited AS (
            UPDATE accounts SET balance = balance + 1 FROM selected
            WHERE selected.customer_id = accounts.customer_id RETURNING accounts.customer_id, balance
        )
        INSERT INTO ledger SELECT {job}, NULL, customer_id, 'credit', 1, balance FROM credited
    """)
    applied = cursor.rowcount
    store.commit()
    return {"applied": applied}


def w2b(store, args):
    """Credits a point to the customers of the filter: the selection is made before the first effect."""
    return credit(store, args, peer.FILTER)


def w2c(store, args):
    """Credits a point to everybody."""
    job = begin(store, args, "bulk-credit")
    store.execute("UPDATE accounts SET balance = balance + 1")
    cursor = store.execute(f"INSERT INTO ledger SELECT {job}, NULL, customer_id, 'credit', 1, balance FROM accounts")
    applied = cursor.rowcount
    store.commit()
    return {"applied": applied}


def dated(store, args):
    """Gives everybody a dated credit with a reference: what W3 needs. All its rows are good ones."""
    job = begin(store, args, "import-points")
    store.execute("""
        CREATE TEMP TABLE stage (email text, amount bigint, operation text, days integer, ref_type text, ref_id text)
        ON COMMIT DROP;
        CREATE TABLE lots (
            lot bigint GENERATED ALWAYS AS IDENTITY, customer_id bigint, remaining bigint, expires_on date, ref_type text,
            ref_id text
        ) WITH (fillfactor = 45)
    """)
    store.execute(f"COPY stage FROM '{args.input('dated.csv')}' (FORMAT csv, HEADER)")
    cursor = store.execute(f"""
        INSERT INTO lots (customer_id, remaining, expires_on, ref_type, ref_id)
        SELECT customer_id, amount, DATE '{args.now.date()}' + days, ref_type, ref_id
        FROM stage JOIN customers c ON c.email = lower(stage.email)
    """)
    applied = cursor.rowcount
    store.execute(f"""
        CREATE INDEX ON lots (customer_id);
        UPDATE accounts a SET balance = balance + given
        FROM (SELECT customer_id, sum(remaining)::bigint AS given FROM lots GROUP BY customer_id) l
        WHERE l.customer_id = a.customer_id;
        INSERT INTO ledger SELECT {job}, NULL, customer_id, 'credit', remaining, balance, expires_on
        FROM lots JOIN accounts USING (customer_id)
    """)
    store.commit()
    return {"applied": applied}


def months(store):
    """Points by month of expiry, which the summary shows before and after."""
    return store.execute("SELECT date_trunc('month', expires_on), sum(remaining) FROM lots GROUP BY 1").fetchall()


def w3a(store, args):
    """Extends the lots that expire in a range of the customers whom a file names. All of them must move later."""
    job = begin(store, args, "import-expiry")
    months(store)
    first, last = (peer.day(args.now, days) for days in peer.RANGE_DAYS)
    to = peer.last_day(args.now.date(), peer.EXTENDED_MONTHS)
    store.execute("""
        CREATE TEMP TABLE names (line bigint GENERATED ALWAYS AS IDENTITY (START 2), email text) ON COMMIT DROP
    """)
    store.execute(f"COPY names (email) FROM '{args.input('names.csv')}' (FORMAT csv, HEADER)")
    store.execute(f"""
        CREATE TEMP TABLE named ON COMMIT DROP AS
        SELECT line, customer_id FROM names LEFT JOIN customers c ON c.email = lower(names.email);
        ANALYZE named;
        CREATE TEMP TABLE moved ON COMMIT DROP AS
        SELECT line, lot, customer_id, expires_on FROM lots JOIN named USING (customer_id)
        WHERE expires_on BETWEEN '{first}' AND '{last}' AND expires_on < '{to}';
        ANALYZE moved;
        UPDATE lots SET expires_on = '{to}' FROM moved WHERE moved.lot = lots.lot;
        INSERT INTO ledger SELECT {job}, line, customer_id, 'expiry_change', 0, balance, '{to}', expires_on
        FROM moved JOIN accounts USING (customer_id);
        INSERT INTO rejects SELECT {job}, line, 'identifier_unknown' FROM named WHERE customer_id IS NULL
    """)
    months(store)
    read, rejected = store.row("SELECT count(*), count(*) FILTER (WHERE customer_id IS NULL) FROM named")
    (applied,) = store.row("SELECT count(DISTINCT line) FROM moved")
    store.commit()
    return {"read": read, "applied": applied, "unchanged": read - rejected - applied, "rejected": rejected}


def w3c(store, args):
    """Expires the lots that are over some days later."""
    job = begin(store, args, "expire")
    store.execute(f"""
        CREATE TEMP TABLE due (lot bigint, customer_id bigint, remaining bigint, expires_on date) ON COMMIT DROP;
        WITH gone AS (
            DELETE FROM lots WHERE expires_on < '{peer.day(args.now, peer.EXPIRE_DAYS)}'
            RETURNING lot, customer_id, remaining, expires_on
        )
        INSERT INTO due SELECT * FROM gone;
        ANALYZE due
    """)
    # More than one lot of a customer may be due: each has an entry with the balance after it.
    cursor = store.execute(f"""
        INSERT INTO ledger
        SELECT {job}, NULL, customer_id, 'expire', -remaining,
               balance - sum(remaining) OVER (PARTITION BY customer_id ORDER BY expires_on, lot), expires_on
        FROM due JOIN accounts USING (customer_id)
    """)
    applied = cursor.rowcount
    store.execute("""
        UPDATE accounts a SET balance = balance - taken
        FROM (SELECT customer_id, sum(remaining)::bigint AS taken FROM due GROUP BY customer_id) d
        WHERE d.customer_id = a.customer_id
    """)
    store.commit()
    return {"applied": applied}


def start(store, _args):
    """Nothing: what a process and a connection cost by themselves."""
    store.row("SELECT 1")
    return {}


def balances(store, args):
    """Writes all balances, for the comparison; not measured."""
    store.execute(f"""
        COPY (SELECT user_id, balance FROM {JOINED} ORDER BY user_id COLLATE "C") TO '{args.out}' (FORMAT csv, HEADER)
    """)
    return {}


WORKS = {
    "start": start,
    "w0": w0,
    "analyze": analyze,
    "w1": w1,
    "w2a": w2a,
    "w2b": w2b,
    "w2c": w2c,
    "dated": dated,
    "w3a": w3a,
    "w3c": w3c,
    "balances": balances,
}

if __name__ == "__main__":
    peer.main({name: with_memory(work) for name, work in WORKS.items()}, lambda args: Store(args.store))
