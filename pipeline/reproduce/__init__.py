"""Reproduction: a registered version is rebuilt from its record alone and compared with it.

`reproduce` is the stage; `environment` compares the installed packages with the lock, `compare`
the outputs with the recorded ones; `lineage_report` shows a version's lineage.
"""
