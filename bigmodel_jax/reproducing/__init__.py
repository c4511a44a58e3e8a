"""Results that were measured, repeated: configs/NAME.expected.json against new runs."""
