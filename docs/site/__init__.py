"""The answer book as a static site: no server, no request to anywhere, readable from a folder.

prose      Markdown -> sections of HTML, and their plain words for the search
source     a symbol -> the first lines of its code, read as text and highlighted
contents   what is in the book: questions by topic, reading paths, documents, commands, reports
build      all of it -> pages, what the search and the rehearsal know, one stylesheet, one script
"""
