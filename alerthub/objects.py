"""Objects by path, in a folder or in S3 (obstore)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from obstore.exceptions import BaseError

from alerthub.domain.errors import Retry


class Objects:
    """An obstore store whose every failure is Retry."""

    def __init__(self, store: Any) -> None:
        self._store = store

    async def put(self, path: str, content: bytes) -> None:
        """Writes the object, or replaces it, as a whole."""
        try:
            await self._store.put_async(path, content)
        except (BaseError, OSError) as error:
            raise Retry(f"the picture store did not take it: {type(error).__name__}") from None

    async def get(self, path: str, *, maximum_bytes: int) -> bytes | None:
        """The object; None where there is none, and for one that is larger."""
        try:
            found = await self._store.get_async(path)
            if found.meta["size"] > maximum_bytes:
                return None
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise Retry(f"the picture store did not answer: {type(error).__name__}") from None

    async def list(self, prefix: str) -> list[Any]:
        """What obstore tells of each object below the prefix: `path`, `size`, `last_modified`."""
        try:
            return [*await self._store.list(prefix).collect_async()]
        except FileNotFoundError:
            return []
        except (BaseError, OSError) as error:
            raise Retry(f"the picture store did not answer: {type(error).__name__}") from None

    async def delete(self, paths: Iterable[str]) -> None:
        """Deletes the objects. One that is gone already is passed over: several gateways sweep. One that
        cannot be deleted keeps none of the others."""
        failed = ""
        for path in paths:
            try:
                await self._store.delete_async(path)
            except FileNotFoundError:
                continue
            except (BaseError, OSError) as error:
                failed = type(error).__name__
        if failed:
            raise Retry(f"the picture store did not delete: {failed}")
