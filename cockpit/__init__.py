"""The cockpit: one page that shows who serves, why, and whether something is wrong; read-only.

`reading` opens files and databases without ever writing; `facts` turn them into typed facts, pure
functions of a folder; `pictures` turn facts into geometry, and `templates` into a page. `web`
serves it on this machine, `static_page` writes it into one file, `tools` opens the tools' own
windows, and `tour` is the guided demonstration. Nothing in pipeline/ or simulation/ imports it.
"""
