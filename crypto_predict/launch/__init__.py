"""What `make` calls.

* ``install``: installs locked packages
* ``live``: runs trainer and server as one program
* ``rivals``: installs what other people's models need

They need the standard library alone. `install` and `rivals` are also executed as files of their own, in the stage of
the image that trains, so they import nothing of this project.
"""
