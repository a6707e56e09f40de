"""Operations: Volume in, Volume out."""
