"""DuckDB doing tidemill's works, as well as we know how: a process each, `peer_duckdb.py WORK --store DIR …`.

Every change is one transaction that ends in a checkpoint, and reports are synced, so that a process that has ended has
its answer on the disk. It prints one JSON object: the counts that the comparison checks, and `inside_s`, the seconds
from the opened database until durable.
"""

import os

import duckdb

import peer

CUSTOMER_COLUMNS = (
    "user_id external_id email mobile card name birthday gender consent tier ltv orders created_at balance".split()
)
IDENTIFIERS = ("user_id", "external_id", "email", "mobile", "card")


def open_store(args):
    """Opens the database; its temporary files lie beside it, on the disk that is measured."""
    config = {"temp_directory": os.path.join(args.store, "tmp")}
    if args.memory_limit:
        config["memory_limit"] = args.memory_limit
    return duckdb.connect(os.path.join(args.store, "peer.duckdb"), config=config)


def csv(path, columns):
    """A CSV file as rows of texts. Cells that a row lacks are NULL, empty ones are ''; what a row has too many stands
    in `extra`. So ragged rows are rows in file order, and can be answered."""
    listed = ", ".join(f"'{column}': 'VARCHAR'" for column in [*columns, "extra", "more"])
    return (
        f"read_csv('{path}', header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"', "
        f"nullstr = '\\N', null_padding = true, columns = {{{listed}}})"
    )


def row(con, sql):
    return con.execute(sql).fetchone()


def begin(con, args, kind):
    """Begins the one transaction of a job, and returns its number."""
    con.execute("BEGIN")
    con.execute("CREATE TABLE IF NOT EXISTS jobs (job INTEGER, kind VARCHAR, reason VARCHAR, started TIMESTAMP)")
    con.execute(
        "CREATE TABLE IF NOT EXISTS ledger (job INTEGER, line BIGINT, customer_id BIGINT, kind VARCHAR, amount BIGINT, "
        "balance_after BIGINT, expires_on DATE, expires_on_before DATE)"
    )
    con.execute("CREATE TABLE IF NOT EXISTS rejects (job INTEGER, line BIGINT, code VARCHAR)")
    (job,) = row(con, "SELECT coalesce(max(job), 0) + 1 FROM jobs")
    con.execute("INSERT INTO jobs VALUES (?, ?, 'bench', ?)", [job, kind, args.now])
    return job


def end(con, report=None):
    """Makes all of it durable."""
    con.execute("COMMIT")
    con.execute("CHECKPOINT")
    if report:
        peer.sync(report)


def w0(con, args):
    """Customers into a new database. Loading first and building the unique indexes afterwards is several times faster
    than inserting into indexed tables. A file that repeats an identifier ends the job; W0's does not."""
    # In tidemill's order of checks: row, identifiers, other fields. Before the transaction, or the row numbers that stand
    # for the file's order would be its own.
    con.execute(f"""
        CREATE TEMP TABLE stage AS SELECT *,
            CASE WHEN extra IS NOT NULL OR balance IS NULL THEN 'row_malformed'
                 WHEN user_id = '' AND external_id = '' AND email = '' AND mobile = '' AND card = ''
                     THEN 'identifier_missing'
                 WHEN email <> '' AND NOT contains(email, '@')
                     OR mobile <> '' AND (NOT starts_with(mobile, '+') OR try_cast(mobile AS BIGINT) IS NULL)
                     THEN 'identifier_invalid'
                 WHEN balance <> '' AND try_cast(balance AS BIGINT) IS NULL THEN 'amount_invalid'
                 WHEN birthday <> '' AND try_cast(birthday AS DATE) IS NULL
                     OR gender NOT IN ('', 'female', 'male', 'other')
                     OR ltv <> '' AND try_cast(ltv AS DECIMAL(18, 4)) IS NULL
                     OR orders <> '' AND try_cast(orders AS INTEGER) IS NULL
                     OR created_at <> '' AND try_cast(created_at AS DATE) IS NULL
                     THEN 'field_invalid'
            END AS code
        FROM {csv(args.input("customers.csv"), CUSTOMER_COLUMNS)}
    """)
    job = begin(con, args, "import-customers")
    con.execute("""
        CREATE TABLE customers AS
        SELECT rowid AS customer_id, nullif(user_id, '') AS user_id, nullif(external_id, '') AS external_id,
               nullif(lower(email), '') AS email, nullif(mobile, '') AS mobile, nullif(card, '') AS card,
               nullif(name, '') AS name, try_cast(birthday AS DATE) AS birthday, nullif(gender, '') AS gender,
               nullif(consent, '') AS consent, nullif(tier, '') AS tier, try_cast(ltv AS DECIMAL(18, 4)) AS ltv,
               try_cast(orders AS INTEGER) AS orders, try_cast(created_at AS DATE) AS created_at,
               coalesce(try_cast(balance AS BIGINT), 0) AS balance
        FROM stage WHERE code IS NULL
    """)
    con.execute(f"INSERT INTO rejects SELECT {job}, rowid + 2, code FROM stage WHERE code IS NOT NULL")
    con.execute("DROP TABLE stage")
    for identifier in IDENTIFIERS:
        con.execute(f"CREATE UNIQUE INDEX customers_{identifier} ON customers ({identifier})")
    con.execute(f"""
        INSERT INTO ledger SELECT {job}, customer_id + 2, customer_id, 'credit', balance, balance, NULL, NULL
        FROM customers WHERE balance <> 0
    """)
    end(con)
    created, credited = row(con, "SELECT count(*), sum(balance)::BIGINT FROM customers")
    (rejected,) = row(con, f"SELECT count(*) FROM rejects WHERE job = {job}")
    return {"read": created + rejected, "applied": created, "rejected": rejected, "credited": credited}


def w1(con, args):
    """Points with debits that must not go below zero: of each customer the rows in file order, a debit beyond the
    balance is refused and changes nothing.

    That is a recurrence, which a sum over a window is not. But where the sum never goes below zero it gives the same;
    so one window serves all, and only customers for whom it does go below are walked row by row, all at once, by a
    recursive query: as many steps as the longest of them has rows."""
    # Before the transaction, or the row numbers that stand for the file's order would be its own.
    con.execute(f"""
        CREATE TEMP TABLE stage AS SELECT email, mobile, amount, operation, extra
        FROM {csv(args.input("points.csv"), ["email", "mobile", "amount", "operation"])}
    """)
    job = begin(con, args, "import-points")
    con.execute("""
        CREATE TEMP TABLE resolved AS
        SELECT s.rowid AS row,
               CASE WHEN s.extra IS NOT NULL OR s.operation IS NULL THEN 'row_malformed'
                    WHEN s.email = '' AND s.mobile = '' THEN 'identifier_missing'
                    WHEN s.email <> '' AND NOT contains(s.email, '@')
                        OR s.mobile <> '' AND (NOT starts_with(s.mobile, '+') OR try_cast(s.mobile AS BIGINT) IS NULL)
                        THEN 'identifier_invalid'
                    WHEN s.amount = '' THEN 'amount_missing'
                    -- The cast alone would round `5.5`, and read `1e3`.
                    WHEN try_cast(s.amount AS BIGINT)::VARCHAR IS DISTINCT FROM s.amount
                        AND NOT regexp_full_match(s.amount, '[0-9]{1,18}') THEN 'amount_invalid'
                    WHEN upper(s.operation) NOT IN ('', 'CR', 'CREDIT', 'DR', 'DEBIT') THEN 'operation_invalid'
                    WHEN e.customer_id IS NULL AND m.customer_id IS NULL THEN 'identifier_unknown'
                    WHEN e.customer_id <> m.customer_id THEN 'identifier_conflict'
               END AS code,
               CASE WHEN code IS NULL THEN coalesce(e.customer_id, m.customer_id) END AS customer_id,
               CASE WHEN code IS NULL THEN coalesce(e.balance, m.balance) END AS opening,
               CASE WHEN code IS NOT NULL THEN NULL
                    WHEN upper(s.operation) IN ('DR', 'DEBIT') THEN -try_cast(s.amount AS BIGINT)
                    ELSE try_cast(s.amount AS BIGINT)
               END AS amount
        FROM stage s
        -- No customer has an empty one.
        LEFT JOIN customers e ON e.email = lower(s.email)
        LEFT JOIN customers m ON m.mobile = s.mobile
    """)
    con.execute("""
        CREATE TEMP TABLE summed AS
        SELECT *, opening + sum(amount) OVER in_order AS after, lead(row) OVER in_order IS NULL AS is_last
        FROM resolved
        WINDOW in_order AS (PARTITION BY customer_id ORDER BY row)
    """)
    con.execute("DROP TABLE resolved")
    con.execute("""
        CREATE TEMP TABLE steps AS
        SELECT row, customer_id, amount, opening, row_number() OVER (PARTITION BY customer_id ORDER BY row) AS n
        FROM summed SEMI JOIN (SELECT customer_id FROM summed WHERE after < 0) short USING (customer_id)
    """)
    con.execute("""
        CREATE TEMP TABLE walked AS
        WITH RECURSIVE walk AS (
            SELECT row, customer_id, n, opening + amount < 0 AS is_short,
                   CASE WHEN opening + amount < 0 THEN opening ELSE opening + amount END AS after
            FROM steps WHERE n = 1
            UNION ALL
            SELECT s.row, s.customer_id, s.n, w.after + s.amount < 0,
                   CASE WHEN w.after + s.amount < 0 THEN w.after ELSE w.after + s.amount END
            FROM walk w JOIN steps s ON s.customer_id = w.customer_id AND s.n = w.n + 1
        )
        SELECT row, is_short, after FROM walk
    """)
    con.execute("""
        CREATE TEMP TABLE outcomes AS
        SELECT s.row, s.customer_id, s.amount, coalesce(w.after, s.after)::BIGINT AS after, s.opening, s.is_last,
               CASE WHEN w.is_short THEN 'insufficient_balance' ELSE s.code END AS code
        FROM summed s LEFT JOIN walked w USING (row)
        ORDER BY s.row
    """)
    con.execute("DROP TABLE summed")
    con.execute(f"""
        INSERT INTO ledger
        SELECT {job}, row + 2, customer_id, CASE WHEN amount < 0 THEN 'debit' ELSE 'credit' END, amount, after, NULL, NULL
        FROM outcomes WHERE code IS NULL AND amount <> 0
    """)
    con.execute("""
        UPDATE customers SET balance = after FROM outcomes o
        WHERE o.is_last AND o.customer_id = customers.customer_id AND o.after <> o.opening
    """)
    con.execute(f"INSERT INTO rejects SELECT {job}, row + 2, code FROM outcomes WHERE code IS NOT NULL")
    # Both tables are in file order, so no join is needed.
    con.execute(f"""
        COPY (
            SELECT o.row + 2 AS line,
                   CASE WHEN code IS NOT NULL THEN 'rejected' WHEN o.amount = 0 THEN 'unchanged' ELSE 'applied' END
                       AS status,
                   code,
                   CASE code WHEN 'insufficient_balance' THEN 'the balance of ' || after || ' does not cover ' || (-o.amount)
                       WHEN 'amount_invalid' THEN 'amount `' || s.amount || '` is no whole number'
                       WHEN 'operation_invalid' THEN 'operation `' || s.operation || '` is none of cr, credit, debit, dr'
                       WHEN 'identifier_unknown' THEN 'no customer has `' || coalesce(nullif(s.email, ''), s.mobile) || '`'
                       ELSE code END AS message,
                   CASE WHEN code IS DISTINCT FROM 'row_malformed' THEN coalesce(nullif(s.email, ''), s.mobile) END AS customer,
                   CASE WHEN code IS NULL THEN o.amount END AS amount,
                   CASE WHEN code IS NULL THEN after END AS balance
            FROM stage s POSITIONAL JOIN outcomes o
        ) TO '{args.out}' (HEADER)
    """)
    end(con, args.out)
    read, applied, unchanged, credited, debited = row(con, """
        SELECT count(*), count(*) FILTER (code IS NULL AND amount <> 0), count(*) FILTER (code IS NULL AND amount = 0),
               (sum(amount) FILTER (code IS NULL AND amount > 0))::BIGINT,
               (-sum(amount) FILTER (code IS NULL AND amount < 0))::BIGINT
        FROM outcomes
    """)
    return {
        "read": read,
        "applied": applied,
        "unchanged": unchanged,
        "rejected": read - applied - unchanged,
        "credited": credited or 0,
        "debited": debited or 0,
    }


def w2a(con, _args):
    """Counts the customers of a filter and their balances, and shows some of them."""
    count, _total = row(con, f"SELECT count(*), sum(balance) FROM customers WHERE {peer.FILTER}")
    con.execute(f"SELECT * FROM customers WHERE {peer.FILTER} LIMIT 50").fetchall()
    return {"applied": count}


def credit(con, args, selection):
    job = begin(con, args, "bulk-credit")
    con.execute(f"CREATE TEMP TABLE selected AS SELECT customer_id FROM customers WHERE {selection}")
    con.execute("UPDATE customers SET balance = balance + 1 WHERE customer_id IN (SELECT customer_id FROM selected)")
    con.execute(f"""
        INSERT INTO ledger SELECT {job}, NULL, customer_id, 'credit', 1, balance, NULL, NULL
        FROM customers SEMI JOIN selected USING (customer_id)
    """)
    end(con)
    (applied,) = row(con, "SELECT count(*) FROM selected")
    return {"applied": applied}


def w2b(con, args):
    """Credits a point to the customers of the filter: the selection is made before the first effect."""
    return credit(con, args, peer.FILTER)


def w2c(con, args):
    """Credits a point to everybody."""
    job = begin(con, args, "bulk-credit")
    con.execute("UPDATE customers SET balance = balance + 1")
    con.execute(f"""
        INSERT INTO ledger SELECT {job}, NULL, customer_id, 'credit', 1, balance, NULL, NULL FROM customers
    """)
    end(con)
    (applied,) = row(con, f"SELECT count(*) FROM ledger WHERE job = {job}")
    return {"applied": applied}


def dated(con, args):
    """Gives everybody a dated credit with a reference: what W3 needs. All its rows are good ones."""
    job = begin(con, args, "import-points")
    columns = ["email", "amount", "operation", "expires_in_days", "ref_type", "ref_id"]
    con.execute(f"""
        CREATE TABLE lots AS
        SELECT c.customer_id, s.amount::BIGINT AS remaining, DATE '{args.now.date()}' + s.expires_in_days::INTEGER
               AS expires_on, s.ref_type, s.ref_id
        FROM {csv(args.input("dated.csv"), columns)} s JOIN customers c ON c.email = lower(s.email)
    """)
    con.execute("""
        UPDATE customers SET balance = balance + given
        FROM (SELECT customer_id, sum(remaining)::BIGINT AS given FROM lots GROUP BY ALL) l
        WHERE l.customer_id = customers.customer_id
    """)
    con.execute(f"""
        INSERT INTO ledger SELECT {job}, NULL, customer_id, 'credit', remaining, balance, expires_on, NULL
        FROM lots JOIN customers USING (customer_id)
    """)
    end(con)
    (applied,) = row(con, "SELECT count(*) FROM lots")
    return {"applied": applied}


def months(con):
    """Points by month of expiry, which the summary shows before and after."""
    return con.execute("SELECT date_trunc('month', expires_on), sum(remaining) FROM lots GROUP BY ALL").fetchall()


def w3a(con, args):
    """Extends the lots that expire in a range of the customers whom a file names. All of them must move later."""
    job = begin(con, args, "import-expiry")
    months(con)
    first, last = (peer.day(args.now, days) for days in peer.RANGE_DAYS)
    to = peer.last_day(args.now.date(), peer.EXTENDED_MONTHS)
    con.execute(f"""
        CREATE TEMP TABLE named AS
        SELECT n.line, c.customer_id FROM (
            SELECT row_number() OVER () + 1 AS line, lower(email) AS email FROM {csv(args.input("names.csv"), ["email"])}
        ) n LEFT JOIN customers c USING (email)
    """)
    con.execute(f"""
        CREATE TEMP TABLE moved AS
        SELECT n.line, l.rowid AS lot, l.customer_id, l.expires_on
        FROM lots l JOIN named n USING (customer_id)
        WHERE l.expires_on BETWEEN DATE '{first}' AND DATE '{last}' AND l.expires_on < DATE '{to}'
    """)
    con.execute(f"UPDATE lots SET expires_on = DATE '{to}' WHERE rowid IN (SELECT lot FROM moved)")
    con.execute(f"""
        INSERT INTO ledger SELECT {job}, line, customer_id, 'expiry_change', 0, balance, DATE '{to}', expires_on
        FROM moved JOIN customers USING (customer_id)
    """)
    con.execute(f"INSERT INTO rejects SELECT {job}, line, 'identifier_unknown' FROM named WHERE customer_id IS NULL")
    months(con)
    end(con)
    read, rejected = row(con, "SELECT count(*), count(*) FILTER (customer_id IS NULL) FROM named")
    (applied,) = row(con, "SELECT count(DISTINCT line) FROM moved")
    return {"read": read, "applied": applied, "unchanged": read - rejected - applied, "rejected": rejected}


def w3c(con, args):
    """Expires the lots that are over some days later."""
    job = begin(con, args, "expire")
    over = f"expires_on < DATE '{peer.day(args.now, peer.EXPIRE_DAYS)}'"
    con.execute(f"CREATE TEMP TABLE due AS SELECT rowid AS lot, * FROM lots WHERE {over}")
    # More than one lot of a customer may be due: each has an entry with the balance after it.
    con.execute(f"""
        INSERT INTO ledger
        SELECT {job}, NULL, customer_id, 'expire', -remaining,
               balance - sum(remaining) OVER (PARTITION BY customer_id ORDER BY due.expires_on, lot), due.expires_on, NULL
        FROM due JOIN customers USING (customer_id)
    """)
    con.execute("""
        UPDATE customers SET balance = balance - taken
        FROM (SELECT customer_id, sum(remaining)::BIGINT AS taken FROM due GROUP BY ALL) d
        WHERE d.customer_id = customers.customer_id
    """)
    con.execute(f"DELETE FROM lots WHERE {over}")
    end(con)
    (applied,) = row(con, "SELECT count(*) FROM due")
    return {"applied": applied}


def start(con, _args):
    """Nothing: what a process and an opened database cost by themselves."""
    row(con, "SELECT 1")
    return {}


def balances(con, args):
    """Writes all balances, for the comparison; not measured."""
    con.execute(f"COPY (SELECT user_id, balance FROM customers ORDER BY user_id) TO '{args.out}' (HEADER)")
    return {}


WORKS = {
    "start": start,
    "w0": w0,
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
    peer.main(WORKS, open_store)
