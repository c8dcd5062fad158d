"""Would-be declines that are approved by chance, within a daily budget, to learn their truth.

Nobody labels what was declined: without this, who compares models only knows bounds.
"""
