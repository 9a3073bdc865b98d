"""Fetches Kafka's jars into the user's cache, so that the first start does not wait for them."""

from __future__ import annotations

from alerthub.embedded.jars import cache_folder, class_path, locked_jars


def main() -> None:
    class_path(locked_jars(), cache=cache_folder(), progress=lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
