"""The procedural world: made-up nations with banners, facts and relations, scenes, and questions about them.

`nations.make_world` makes it, nation by nation and only what is asked for; `presets` names the worlds that everybody
has; `write` puts one on disk in the layouts that a user's own data has; `python -m gog_env.world` does both. Whoever
reads it back knows no more than those layouts.
"""
