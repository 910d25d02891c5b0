"""The commands of the release workflow: ``python -m crypto_predict.release COMMAND``.

The YAML of the workflow only calls these commands, so that its logic is tested. They need the standard library, and
programs that every runner has: git, docker with buildx, gh and curl. `__main__` has the table of commands.

* ``version``, ``champion``: the number of the release, and the release before it
* ``smoke``: the checks of an image
* ``page``, ``record``: the page of the release, and the public record of forecasts
* ``deploy``: the deployment to Render
* ``alert``, ``coverage``, ``issues``: the issues about a failure, and about a range that does not hold; GitHub's issues
* ``dataset``: the dataset that a repository publishes, and its files as a GitHub Release
* ``images``, ``programs``: the registry, its tags and the engine; git, gh and curl
* ``job``: the outputs, the log and the page of a job, in Markdown
"""
