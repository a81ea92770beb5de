"""Dialects: how a model writes actions and reads results. One file and its prompts each.

A dialect module has `TOOLS` and `tools(card)` (JSON schemas for the chat template), `system_prompt(card)`,
`parse(text, card, size)`, `action_of_call(name, arguments, card, size)`, `action_of_message(message, card, size)`,
`action_message(action, card, size)`, `result_content(turn, card)` and `messages(view, card)`; nothing else in the
project knows what a model's text looks like. Boxes are in the units of the card (`pixels`), and a processor whose chat
template drops tools gets ours (`templates`).
"""
