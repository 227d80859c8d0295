"""The real data where it is present."""

from train.conftest import data as data
