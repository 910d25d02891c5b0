"""What the release workflow calls: ``python -m crypto_predict.release COMMAND``.

The workflow's logic is here, tested; its YAML only calls it. Nothing beyond the standard library is imported, since a
runner has nothing else before the build; ``git``, ``docker`` and ``skopeo`` are run as the programs they are.

==============  =======================================================================================
command         what it does
==============  =======================================================================================
``version``     the next semantic version, from Conventional Commits, and the build's one timestamp
``tags``        the names under which an image is published
``locate``      the digest and the build that a tag names
``champion``    takes model and ledger out of the image that ``latest`` names, for the next training
``smoke``       starts an image as it will run, asks it, and refuses what must not ship
``publish``     copies an image to its tags by digest, in order, and checks each
``deploy``      tells Render to run an image, waits until it answers, and brings the old one back if not
``summary``     the run's page: version, forecast, picture, scorecard, what changed
``mark``        tags the released commit with its version
``alert``       one issue for scheduled runs that fail, closed by the next good one
``keepalive``   keeps the schedule enabled past GitHub's 60 days
==============  =======================================================================================

Beside the commands:

* ``job``: the workflow's job around a command: outputs, summary, warnings
* ``programs``, ``engine``, ``registry``, ``artifact``: other programs, Docker, registries, the files in an image
* ``git``, ``commits``: the repository, and what its messages say of the version
* ``questioning``: what a server must answer before it is released
* ``hook``, ``site``, ``fetch``, ``clock``: Render's hook, the live site, requests with a deadline, waiting
* ``github``: GitHub's REST interface
* ``page``, ``picture``, ``changes``, ``markdown``: the parts of the summary
* ``foreign``: text of strangers, made one harmless line
* ``bytecode``: byte-compiles what the server imports, when the image is built
"""
