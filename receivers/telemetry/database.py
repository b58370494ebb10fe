"""Asks a database, whatever SQLAlchemy reaches; SQLite files are only read."""

import math
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from rawdaq.errors import ComponentError, InvalidValue
from rawdaq.receivers.telemetry.sources import NoAnswer, Source

if TYPE_CHECKING:
    import sqlalchemy


class SqlSource(Source):
    """Makes one query; the connection stays open, and is made anew when it broke.

    Args:
        url: the address of the database.
        query: what to ask.
        secret: the password; None: there is none.
        timeout_s: how long that may take.

    Raises:
        InvalidValue: a SQLite file that is no absolute path.
    """

    def __init__(self, url: str, query: str, secret: str | None, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self._url, self._query, self._secret = url, query, secret
        self._engine: sqlalchemy.Engine | None = None
        self._file = sqlite_file(url)

    def open(self) -> None:
        """Load SQLAlchemy and the driver of the database.

        Raises:
            ComponentError: one of them is not installed, or the address is invalid.
        """
        sqlalchemy = _sqlalchemy()
        try:
            url = sqlalchemy.make_url(self._url)
            if self._secret is not None:
                url = url.set(password=self._secret)
            options: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 1, "max_overflow": 0}
            if self._file is not None:
                options = {"creator": self._sqlite, "poolclass": sqlalchemy.pool.NullPool}
            self._engine = sqlalchemy.create_engine(url, connect_args=self._limits(url), **options)
        except ImportError as error:
            raise ComponentError(
                f"the driver of {self._url} is not installed ({error}); install it, such as: pip install "
                "'psycopg[binary]'"
            ) from error
        except sqlalchemy.exc.ArgumentError as error:
            raise ComponentError(f"{self._url!r} is no address of a database: {error}") from error

    def _sqlite(self) -> sqlite3.Connection:
        """Return a connection that changes nothing, and makes no file where there is none."""
        name = f"file:{quote(str(self._file))}?mode=ro"
        return sqlite3.connect(name, uri=True, timeout=self.timeout_s)

    def _limits(self, url: "sqlalchemy.URL") -> dict[str, Any]:
        """Return what makes a driver give up in time, where it can."""
        whole_s = max(1, math.ceil(self.timeout_s))
        if url.get_backend_name() == "postgresql" and url.get_driver_name() in ("psycopg", "psycopg2"):
            return {"connect_timeout": max(2, whole_s), "options": f"-c statement_timeout={int(self.timeout_s * 1000)}"}
        if url.get_backend_name() in ("mysql", "mariadb"):
            return {"connect_timeout": whole_s}
        return {}

    def ask(self) -> dict[str, object]:
        """Return the columns of the first row."""
        sqlalchemy = _sqlalchemy()
        if self._engine is None:
            self.open()
        assert self._engine is not None  # noqa: S101 - open has made it
        try:
            with self._engine.connect() as connection:
                row = connection.execute(sqlalchemy.text(self._query)).mappings().first()
        except sqlalchemy.exc.SQLAlchemyError as error:
            cause = getattr(error, "orig", None) or error
            raise NoAnswer(" ".join(str(cause).split())[:300] or type(cause).__name__) from None
        # Drivers are foreign code, and some raise anything of a server that they do not understand.
        except Exception as error:
            raise NoAnswer(f"the driver of the database failed: {error!r:.300}") from error
        if row is None:
            raise NoAnswer("the query found no row")
        return dict(row)

    def close(self) -> None:
        """Close the connection."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


def sqlite_file(url: str) -> Path | None:
    """Return the file of a SQLite database; None when it is another one.

    Raises:
        InvalidValue: it is no absolute path.
    """
    if not url.startswith(("sqlite:", "sqlite+")):
        return None
    file = Path(url.partition("://")[2].partition("?")[0].removeprefix("/"))
    if not file.is_absolute():
        raise InvalidValue(f"{url!r} has no absolute path; write it with four slashes: sqlite:////var/lib/station.db")
    return file


def _sqlalchemy() -> Any:
    try:
        import sqlalchemy
    except ImportError as error:
        raise ComponentError("databases need SQLAlchemy; install it: pip install 'rawdaq[sql]'") from error
    return sqlalchemy
