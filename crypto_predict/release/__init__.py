"""What the release workflow runs: ``python -m crypto_predict.release COMMAND``.

`__main__` lists them.

The workflow's YAML only calls these commands, so that its logic is tested. They need the standard library and programs
that every runner has: git, docker with buildx, gh and curl.

* `version`, `commits`, `git`: the version of a commit, from its repository
* `registry`, `engine`, `programs`: image registries, the Docker engine, running a program
* `champion`, `artifact`: the last release, and the files in its image
* `smoke`, `smoke_checks`: what a server must answer before it ships
* `publish`, `record`: the tags of an image, and the public record
* `deploy`, `render`, `fetch`: the deploy with its rollback, Render's hook and site, requests
* `gh`, `alert`: GitHub, and the issue about failing scheduled runs
* `job`, `page`, `picture`, `changes`, `markdown`, `sanitize`: outputs, the run's page and its parts
"""
