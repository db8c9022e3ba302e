DROP TABLE not_duplicate_images;
DROP TABLE not_duplicates;
