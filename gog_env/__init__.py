"""Glance-or-Gaze: episodes in which a policy looks, searches and answers.

Importing it registers `GoG-VQA-v0` with Gymnasium, for `make` and for `make_vec`; nothing heavy is imported before an
environment is made.
"""

import gymnasium

if "GoG-VQA-v0" not in gymnasium.registry:
    gymnasium.register(
        id="GoG-VQA-v0",
        entry_point="gog_env.env:GlanceOrGazeEnv",
        vector_entry_point="gog_env.vector:GlanceOrGazeVectorEnv",
    )
