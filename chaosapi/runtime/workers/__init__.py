"""Several processes behind one port, as one service.

service        `chaosapi serve --workers`: the settings, sockets and folder of all workers
supervisor     starts these workers, restarts those that die, and stops them
worker         one of them

servers        finds out whether another server, such as gunicorn, runs this process as one of several workers
guests         makes the workers of such a server one service
membership     the slots of these workers: a worker joins, leaves, or is killed
handover       gives the admin socket of one of these workers to the others

folder         the folder that the processes of one service share
context        what a worker knows of the others
"""
