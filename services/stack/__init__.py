"""The whole stack on one machine: embedded servers and the four services, as one supervised foreground command."""
