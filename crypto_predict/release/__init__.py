"""The commands of the release workflow: ``python -m crypto_predict.release COMMAND``.

The YAML of the workflow only calls these commands, so that its logic is tested. They need the standard library, and
programs that every runner has: git, docker with buildx, gh and curl. `__main__` has the table of commands.

* steps: `version`, `champion` (also the command ``locate``), `smoke`, `page` (``summary``), `publish`, `deploy`,
  `record`, `alert`
* what they share: `images` (registry, engine, files), `programs` (git, gh), `fetch` (HTTP), `job` (outputs, log),
  `markdown`, `picture`
"""
