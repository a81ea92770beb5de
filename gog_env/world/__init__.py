"""The procedural world: made-up nations with banners, facts and relations, scenes, and questions about them.

`nations.make_world` makes it, `write` puts it on disk in the same layout that a user's own data has, and
`python -m gog_env.world` does both. Whoever reads it back knows no more than that layout.
"""
