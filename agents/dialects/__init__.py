"""Dialects: how a model writes actions and reads results. One file and its prompts each.

A dialect module has `TOOLS` (JSON schemas for the chat template), `system_prompt()`, `parse(text, card)`,
`action_of_call(name, arguments, card)`, `action_of_message(message, card)`, `action_message(action, card)`,
`result_content(turn, card)` and `messages(view, card)`; nothing else in the project knows what a model's text looks
like.
"""
