drop table asset, software, catalogue_read, vulnerability;
