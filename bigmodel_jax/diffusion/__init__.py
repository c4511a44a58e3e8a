"""Between images and noise: the paths there, and samplers back; for tasks/diffusion.py."""
