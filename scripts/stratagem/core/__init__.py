"""What every part of the package stands on: errors, files, locks, the job, the device, provenance.

In: what a process is given: a rule's object, paths, signals, visible GPUs.
Out: files that are whole, errors with their cure, a device of its own, digests of code.
Imports: nothing of the package.
"""
