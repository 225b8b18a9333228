"""Trained models in use: train longer or on other clips, predict, evaluate, export."""
