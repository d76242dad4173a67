"""The operational state that operators change: releases, flags, settings, providers, rotation, limits; pure."""
