"""The engines that are compared: how each is started, does a work as a whole process, and is removed."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time

import peer
import process

HERE = os.path.dirname(os.path.abspath(__file__))


class Tidemill:
    """The program itself: `tidemill … --json`."""

    name = "tidemill"

    def __init__(self, program):
        self.program = program

    def version(self):
        return subprocess.run([self.program, "--version"], check=True, capture_output=True, text=True).stdout.split()[1]

    def settings(self):
        return []

    def begin(self, directory):
        """Makes ready for a round in an empty directory of its own."""
        self.store = os.path.join(directory, "store")

    def end(self):
        """Ends the round; its directory is removed by who made it."""

    def run(self, work, inputs, now, out):
        """Does a work, and returns its counts and what the process took."""
        moment = now.isoformat() + "Z"
        later = f"{peer.day(now, peer.EXPIRE_DAYS)}T12:00:00Z"
        first, last = (f"{peer.day(now, days)}" for days in peer.RANGE_DAYS)
        csv = {name: os.path.join(inputs, f"{name}.csv") for name in ("customers", "points", "dated", "names")}
        where = ["--balance=300..500", "--ltv=1000..", "--tier=gold", "--created-after=2020-01-01"]
        job = ["--reason=bench", f"--now={moment}"]
        range_flags = ["--profile=date-range", f"--from={first}", f"--to={last}", "--change=extended"]
        arguments = {
            "start": ["store", "info"],
            "w0": ["import", "customers", csv["customers"], f"--now={moment}"],
            "w1": ["import", "points", csv["points"], "--format=nector", f"--processed={out}", *job],
            "w2a": ["bulk", "credit", "--amount=1", *where, "--count", "--explain"],
            "w2b": ["bulk", "credit", "--amount=1", *where, *job],
            "w2c": ["bulk", "credit", "--amount=1", "--all", *job],
            "dated": ["import", "points", csv["dated"], "--format=tidemill", *job],
            "w3a": ["import", "expiry", csv["names"], *range_flags, f"--set=relative:{peer.EXTENDED_MONTHS}months", *job],
            "w3c": ["expire", f"--now={later}"],
            "balances": ["export", "balances", "-o", out],
        }[work]
        command = [self.program, "--store", self.store, "--json", "--progress=none", *arguments]
        # 3: done, with rejected rows.
        run = process.run(command, codes=(0, 3))
        document = json.loads(run.stdout)
        if work == "start" or work == "balances":
            return {}, run
        if work == "w2a":
            return {"applied": document["customers"], "inside_s": document["explain"]["elapsed_ms"] / 1e3}, run
        rows, points = document["rows"], document["points"]
        counts = {
            "read": rows["read"],
            # An applied row of a customers file is a created customer.
            "applied": rows["applied"] + rows["created"] + rows["updated"],
            "unchanged": rows["unchanged"],
            "rejected": rows["rejected"],
            "credited": int(points["credited"]),
            "debited": int(points["debited"]),
            "inside_s": document["elapsed_s"],
        }
        return counts, run


class DuckDb:
    """DuckDB from pip, driven by `peer_duckdb.py`."""

    name = "DuckDB"

    def __init__(self, memory_limit):
        self.memory_limit = memory_limit

    def version(self):
        return importlib.metadata.version("duckdb")

    def settings(self):
        limit = self.memory_limit or "80 % of the machine's memory"
        return [f"memory_limit {limit}, as many threads as cores, all else as it comes"]

    def begin(self, directory):
        self.store = directory

    def end(self):
        pass

    def run(self, work, inputs, now, out):
        command = [sys.executable, os.path.join(HERE, "peer_duckdb.py"), work, "--store", self.store]
        command += ["--inputs", inputs, "--now", now.isoformat()]
        command += ["--out", out] if out else []
        command += ["--memory-limit", self.memory_limit] if self.memory_limit else []
        run = process.run(command)
        return json.loads(run.stdout), run


class Postgres:
    """A server of its own for each round, in a cluster made for it, driven by `peer_postgres.py`."""

    name = "Postgres"

    def __init__(self, programs, user):
        self.programs, self.user = programs, user
        self.server = None
        gigabyte = 1 << 30
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        self.options = {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            # Without replicas, tables made and filled in one transaction need no log.
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "max_wal_size": "32GB",
            "checkpoint_timeout": "1h",
            "shared_buffers": f"{max(1, memory // 4 // gigabyte)}GB",
            "effective_cache_size": f"{max(1, memory * 2 // 3 // gigabyte)}GB",
            "work_mem": "1GB",
            "hash_mem_multiplier": "4",
            "temp_buffers": "1GB",
            "maintenance_work_mem": "2GB",
            "max_parallel_workers_per_gather": str(os.cpu_count()),
            "max_parallel_maintenance_workers": str(os.cpu_count()),
            "autovacuum": "off",
            "jit": "off",
            "listen_addresses": "",
        }

    def version(self):
        text = subprocess.run([self.program("postgres"), "--version"], check=True, capture_output=True, text=True).stdout
        return text.split()[2]

    def settings(self):
        return [f"{name} = {value}" for name, value in self.options.items() if name != "listen_addresses"]

    def program(self, name):
        return os.path.join(self.programs, name)

    def as_user(self):
        """The server refuses to run as root."""
        return {"user": self.user, "group": self.user, "extra_groups": []} if os.getuid() == 0 else {}

    def check(self, directory):
        """Ends a comparison that the server could not take part in, before it has taken a quarter of an hour."""
        reached = subprocess.run(["test", "-x", directory], check=False, cwd="/", **self.as_user())
        if reached.returncode != 0:
            raise SystemExit(f"compare: the user `{self.user}` may not enter `{directory}`: choose another with `--dir`")

    def begin(self, directory):
        if os.getuid() == 0:
            shutil.chown(directory, self.user, self.user)
        self.data = os.path.join(directory, "cluster")
        initdb = [self.program("initdb"), "-D", self.data, "--auth=trust", "--username=bench", "--encoding=UTF8"]
        quiet = {"stdout": subprocess.DEVNULL, "cwd": directory, **self.as_user()}
        subprocess.run([*initdb, "--locale=C", "--no-sync"], check=True, **quiet)
        command = [self.program("postgres"), "-D", self.data, "-k", self.data]
        for name, value in self.options.items():
            command += ["-c", f"{name}={value}"]
        log = os.path.join(directory, "log")
        with open(log, "w", encoding="utf-8") as errors:
            self.server = subprocess.Popen(command, stderr=errors, **quiet)
        self.conninfo = f"host={self.data} user=bench dbname=postgres"
        ready = [self.program("pg_isready"), "-h", self.data, "-q"]
        for _ in range(300):
            if subprocess.run(ready, check=False).returncode == 0:
                return
            if self.server.poll() is not None:
                break
            time.sleep(0.1)
        with open(log, encoding="utf-8") as errors:
            raise SystemExit(f"Postgres does not start:\n{errors.read()}")

    def end(self):
        if self.server:
            self.server.send_signal(2)
            self.server.wait()
            self.server = None

    def run(self, work, inputs, now, out):
        command = [sys.executable, os.path.join(HERE, "peer_postgres.py"), work, "--store", self.conninfo]
        command += ["--inputs", inputs, "--now", now.isoformat()]
        command += ["--out", out] if out else []
        before = process.cpu_of_family(self.server.pid)
        run = process.run(command)
        # The server's own processes have done the work: what they took is the work's. Those that have ended count once
        # the server has waited for them.
        time.sleep(0.2)
        user_s, system_s = (after - start for after, start in zip(process.cpu_of_family(self.server.pid), before))
        counts = json.loads(run.stdout)
        run.user_s += user_s
        run.system_s += system_s
        run.memory_peak_bytes = max(run.memory_peak_bytes, counts.pop("memory_peak_bytes", None) or 0)
        return counts, run
