"""ISI peers for tests, written from the ISI protocol report alone, so that they share no mistake with the codec."""
