"""What assets use: settings, the clock, the simulator and other collectors. No asset is defined here."""
