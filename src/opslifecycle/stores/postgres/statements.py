"""The statements of a PostgreSQL store, for one schema."""

from __future__ import annotations

from functools import cache

import attrs

#: Splits a text into rows of columns: one text is four times faster to send than arrays.
SPLIT = (
    "(SELECT string_to_array(line, E'\\x1f') AS v FROM unnest(string_to_array({}, E'\\x1e')) line)"
)

#: For how many hours after its lease has ended a process is still named.
_ENDED_HOURS = 24


@attrs.frozen
class Statements:
    """The statements that owners use. Each is a transaction of its own."""

    commit: str
    #: The same with the answers to requests of other hosts.
    commit_answering: str
    #: Both with archived records, for schemas that have an archive.
    commit_archiving: str
    commit_archiving_answering: str
    resolve: str
    owner: str
    appear: str
    renew: str
    leave: str
    release: str

    def commit_of(self, archives: bool, answers: bool) -> str:
        """Return the statement of commits with archived records, with answers, both or neither."""
        if answers:
            return self.commit_archiving_answering if archives else self.commit_answering
        return self.commit_archiving if archives else self.commit


@cache
def statements(schema: str) -> Statements:
    """Return the statements for a schema."""
    return Statements(
        commit=_commit(schema),
        commit_answering=_commit(schema, answers=True),
        commit_archiving=_commit(schema, archives=True),
        commit_archiving_answering=_commit(schema, archives=True, answers=True),
        # The row lock waits for a statement of ours that may still run, and the new fencing token
        # shuts out one that is still to arrive.
        resolve=(
            f"UPDATE {schema}.registries SET fencing_token = fencing_token + 1"
            " WHERE number = ANY($1::integer[]) AND owner = $2::bigint"
            " RETURNING number, fencing_token, head"
        ),
        owner=(
            f"SELECT number, fencing_token, owner, head FROM {schema}.registries"
            " WHERE number = ANY($1::integer[])"
        ),
        # A process that was killed leaves its row behind, which says for a while who it was.
        appear=(
            f"WITH gone AS (DELETE FROM {schema}.owners WHERE owner IN ("
            f"  SELECT owner FROM {schema}.owners"
            f"  WHERE lease_until < clock_timestamp() - interval '{_ENDED_HOURS} hours'"
            "   FOR UPDATE SKIP LOCKED))"
            f" INSERT INTO {schema}.owners VALUES"
            " ($1::bigint, $2, $3::boolean, clock_timestamp() + $4::bigint * interval '1 ms')"
        ),
        # A lease that has ended stays so: another process may have relied on that.
        renew=(
            f"UPDATE {schema}.owners"
            " SET lease_until = clock_timestamp() + $2::bigint * interval '1 ms'"
            " WHERE owner = $1::bigint AND lease_until > clock_timestamp() RETURNING 1"
        ),
        leave=f"DELETE FROM {schema}.owners WHERE owner = $1::bigint",
        release=(
            f"UPDATE {schema}.registries SET owner = NULL"
            " WHERE number = $1::integer AND fencing_token = $2::bigint AND owner = $3::bigint"
        ),
    )


def _commit(schema: str, *, archives: bool = False, answers: bool = False) -> str:
    """Write the commits of several registries; those that another process owns are left out.

    Parameters: registries, new rows, keys of rows that are needed for the feed alone, keys of rows
    that are not needed; with `archives` also archived records, and then with `answers` the answers
    to requests. Returns the numbers of the registries that were written.
    """
    of_owned = "IN (SELECT number FROM owned)"
    archived = f"""
archived AS (
  INSERT INTO {schema}.archive (key, id, version, body)
  SELECT v[1]::bigint, v[2], v[3]::integer, v[4]
  FROM {SPLIT.format("$5")} each WHERE v[1]::bigint >> 40 {of_owned}),"""
    answered = f"""
answered AS (
  UPDATE {schema}.requests q SET answer = v[2], head = o.head
  FROM {SPLIT.format("$6" if archives else "$5")} each, owned o
  WHERE q.request = v[1]::uuid AND q.registry = o.number),"""
    return f"""
WITH given AS (
  SELECT v[1]::integer AS number, v[2]::bigint AS fencing_token, v[3]::bigint AS before,
         v[4]::bigint AS after, v[5]::bigint AS dropped_through, v[6] AS state
  FROM {SPLIT.format("$1")} each),
owned AS (
  UPDATE {schema}.registries r
  SET head = g.after, dropped_through = g.dropped_through, state = g.state
  FROM given g
  WHERE r.number = g.number AND r.fencing_token = g.fencing_token AND r.head = g.before
  RETURNING r.number, r.head),
{archived if archives else ""}{answered if answers else ""}inserted AS (
  INSERT INTO {schema}.log (key, id, sequence, current, body)
  SELECT v[1]::bigint, v[2], nullif(v[3], '')::bigint, v[4]::boolean, v[5]
  FROM {SPLIT.format("$2")} each WHERE v[1]::bigint >> 40 {of_owned}),
superseded AS (
  UPDATE {schema}.log SET current = false
  WHERE key = ANY($3::bigint[]) AND key >> 40 {of_owned}),
dead AS (
  DELETE FROM {schema}.log WHERE key = ANY($4::bigint[]) AND key >> 40 {of_owned})
SELECT number FROM owned"""


def keys_text(keys: list[int]) -> str:
    """Return integers as the text of an array."""
    return f"{{{','.join(map(str, keys))}}}"
