"""Submissions of results: a folder for a pull request, and its verification.

`assemble` makes the folder from records and the strategy's source. `verify` checks a folder in stages, and each stage
needs the one before it:

1. `layout` and `manifest`: which files there are, and that they are what the manifest says;
2. `identity` and `scores`: what a record says about itself, by arithmetic;
3. `costs`: what follows from architectures, protocol and tables (imports torch, runs no code of the submission);
4. `repetition`: the clips are those of the records, and the submitted code repeats random runs in a process of its own.

`checklist` fills the checklist of best practices for research on architecture search, `page` writes the README.
"""
