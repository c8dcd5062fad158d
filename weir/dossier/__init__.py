"""A model's dossier: what was found of it, decided and done, as one page or PDF for who decides and
who asks years later."""
