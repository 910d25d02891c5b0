"""What `make` calls.

* ``install``: installs locked packages
* ``live``: runs trainer and server as one program

Neither needs a package that is not in the standard library. `install` is also executed as a file of its own, in the
stage of the image that trains, so it imports nothing of this project.
"""
