"""What agents are made of, whatever they learn by: worlds, policies, returns, replay; for tasks/."""
