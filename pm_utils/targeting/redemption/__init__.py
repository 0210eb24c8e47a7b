"""Will a household redeem a coupon of the campaign? Contacts, features, networks, baselines."""
