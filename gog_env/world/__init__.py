"""The procedural world: made-up nations with banners, facts and relations, scenes, and questions about them.

`nations.make_world` makes it, `write` puts it on disk in the same layout that a user's own data has, and
`python -m gog_env.world` does both. `design.md`'s contract of sources and tasks is the only thing that readers see.
"""
