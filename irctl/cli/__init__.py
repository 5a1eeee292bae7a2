"""What a person types and reads: the click app, its commands, options and output.

The only room that imports click; it may import every other room.
"""
