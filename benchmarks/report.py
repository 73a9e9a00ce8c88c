"""The operator benchmark as text."""


def show(row: dict) -> None:
    """Print one row: every contestant, then what is asked for."""
    print(
        f"\n{row['operator']}, {row['dtype']}, {row['bytes_per_gene']} bytes a gene; {row['ours']} moves them at "
        f"{row['share_of_copy_bandwidth']:.0%} of the copy bandwidth"
    )
    best = row["contestants"][row["ours"]]["min_s"]
    for name, found in row["contestants"].items():
        extra = found["extra_bytes_per_genome_byte"]
        print(
            f"  {name:36s} {found['min_s'] * 1e3:10.3f} ms (median {found['median_s'] * 1e3:10.3f})"
            f" {found['genes_per_s'] / 1e6:10,.0f} M genes/s {found['min_s'] / best:8.2f}x"
            f"  extra memory {'unknown' if extra is None else f'{extra:.1%}'}"
        )
    for gate in row["gates"]:
        bound, met = (
            (f"at least {gate['at_least']:g}", gate["found"] >= gate["at_least"])
            if "at_least" in gate
            else (f"at most {gate['at_most']:g}", gate["found"] <= gate["at_most"])
        )
        print(f"    {'met   ' if met else 'MISSED'} {gate['against']}: {gate['found']:.3g}, {bound}")
