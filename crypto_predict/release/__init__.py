"""The commands of the release workflow: ``python -m crypto_predict.release COMMAND``.

The YAML of the workflow only calls these commands, so that its logic is tested. They need the standard library, and
programs that every runner has: git, docker with buildx, gh and curl. `__main__` has the table of commands.

* ``version``, ``champion``: the number of the release, and the release before it
* ``smoke``: the checks of an image
* ``page``, ``record``: the page of the release, and the public record of forecasts
* ``deploy``, ``alert``: the deployment to Render, and the issue about a failure
* ``images``, ``programs``: the registry, its tags and the engine; git, gh and curl
* ``job``: the outputs, the log and the page of a job, in Markdown
"""
