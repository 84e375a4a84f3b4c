drop table asset_word, asset, software, catalogue_read, vulnerability_words, vulnerability;
